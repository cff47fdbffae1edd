// The chosen design: specification, curve, costs by part. Yield, sensitivity and the course of the search.
"use strict";

function drawChosen() {
  const design = byNumber.get(state.chosen);
  for (const id of ["card", "jump"]) $(id).hidden = !design;
  if (!design) return;
  const star = design.number === data.winner ? " ★" : "";
  $("chosen-title").textContent = `Design ${design.number}${star}`;
  $("verdict").textContent = `${design.feasible ? "meets the target" : "misses the target"}; ${design.stopped ? `given up after: ${design.level}` : design.level}${design.front ? "; on the front" : ""}`;
  $("verdict").className = design.feasible ? "good" : "bad";
  $("jump").textContent = `Design ${design.number}: ${design.texts.score}, ${design.texts.energy} – specification`;
  $("facts").replaceChildren(...design.facts.map(([name, text]) => {
    const line = element("tr");
    line.append(element("th", { scope: "row" }, name), element("td", {}, text));
    return line;
  }));
  $("specification").replaceChildren(...design.specification.map(([title, name, ...cells]) => {
    const line = element("tr"), head = element("th", { scope: "row" }, title);
    if (title !== name) head.append(element("code", {}, name));
    line.append(head, ...cells.map((text) => element("td", {}, text)));
    return line;
  }));
  $("margin-note").hidden = design.number === data.winner;
  drawCurve(design);
  drawParts(design);
}

function drawCurve(design) {
  const own = [[design, C.blue, 2.2]];
  const winner = byNumber.get(data.winner);
  if (winner && winner !== design) own.push([winner, C.orange, 1.4]);
  const drawn = own.filter(([one]) => one.curve.length);
  $("plot-curve").hidden = !drawn.length;
  $("no-curve").hidden = design.curve.length > 0;
  if (!drawn.length) return;
  const losses = drawn.flatMap(([one]) => one.curve.map(([, loss]) => loss));
  const traces = drawn.map(([one, color, width]) => ({
    name: one.number === data.winner ? `winner, design ${one.number}` : `design ${one.number}`, type: "scatter", mode: "lines", line: { color, width },
    x: one.curve.map(([step]) => step), y: one.curve.map(([, loss]) => loss),
  }));
  const own_layout = layout({
    xaxis: { title: { text: "step" } }, yaxis: axisOf({ title: "training loss", log: false }, losses), height: 230, showlegend: true, dragmode: false,
  });
  Plotly.react("plot-curve", traces, own_layout, { ...CONFIG, displayModeBar: false });
}

// ---- where time and energy go

function drawParts(design) {
  const winner = byNumber.get(data.winner);
  const rows = [{ name: `design ${design.number}${design === winner ? " ★" : ""}`, parts: design.parts, texts: design.texts }];
  if (winner && winner !== design) rows.push({ name: `design ${winner.number} ★`, parts: winner.parts, texts: winner.texts });
  rows.push(...data.references.map((one) => ({ name: one.name, parts: one.parts, texts: one.texts })));
  const names = [...new Set([...data.designs, ...data.references].flatMap((one) => Object.keys(one.parts)))].sort();
  for (const key of ["time", "energy"]) drawShares(`plot-${key}`, key, rows, names);
}

function drawShares(id, key, rows, all) {
  const totals = rows.map((one) => Object.values(one.parts).reduce((sum, part) => sum + (part[key] ?? 0), 0));
  const known = rows.filter((_, k) => totals[k] > 0);
  const sums = totals.filter((total) => total > 0);
  $(id).hidden = !known.length;
  $(`no-${id}`).hidden = known.length > 0;
  if (!known.length) return;
  const size = (name) => Math.max(...known.map((one, k) => (one.parts[name]?.[key] ?? 0) / sums[k]));
  const names = all.filter((name) => size(name) > 0).sort((a, b) => size(b) - size(a));
  const labels = known.map((one) => `${wrapped(one.name)}<br><b>${escaped(one.texts[key])}</b>`);
  const traces = names.map((name) => ({
    name: escaped(name), type: "bar", orientation: "h", y: labels, x: known.map((one, j) => (one.parts[name]?.[key] ?? 0) / sums[j]),
    marker: { color: STACK[all.indexOf(name) % STACK.length], pattern: { shape: all.indexOf(name) < STACK.length ? "" : "/" } },
    text: known.map((one) => escaped(one.parts[name]?.texts[key] ?? "")), textposition: "none",
    hovertemplate: "%{y}<br>%{fullData.name}: %{text}, %{x:.1%}<extra></extra>",
  }));
  const own = layout({
    barmode: "stack", height: 110 + 46 * known.length + 20 * Math.ceil(names.length / (narrow ? 2 : 4)), bargap: 0.3, dragmode: false,
    xaxis: { tickformat: ".0%", range: [0, 1], dtick: 0.25, title: { text: key === "time" ? "share of the time" : "share of the energy" } },
    yaxis: { autorange: "reversed", ticks: "", tickfont: { size: narrow ? 9 : 11 } },
  });
  own.legend = { orientation: "h", x: 0, xref: "container", y: 0.99, yref: "container", yanchor: "top", font: { size: narrow ? 10 : 11 }, traceorder: "normal" };
  own.margin = { ...own.margin, t: 24 + 20 * Math.ceil(names.length / (narrow ? 2 : 5)) };
  Plotly.react(id, traces, own, { ...CONFIG, displayModeBar: false });
}

/** A name in lines of at most so many letters. */
function wrapped(name, most = narrow ? 16 : 28) {
  const lines = [""];
  for (const word of String(name).split(" ")) {
    const last = lines[lines.length - 1];
    if (last && last.length + word.length >= most) lines.push(word);
    else lines[lines.length - 1] = last ? `${last} ${word}` : word;
  }
  return lines.map(escaped).join("<br>");
}

// ---- yield and sensitivity

function drawYield() {
  if (!$("yield-across")) return;
  const across = columns.get($("yield-across").value);
  const known = shown().filter((d) => d.bounds && d.values[across.key] != null);
  const bars = (own, color) => ({
    type: "data", symmetric: false, color, thickness: 1, width: 3,
    array: own.map((d) => d.bounds[1] - d.values.yield), arrayminus: own.map((d) => d.values.yield - d.bounds[0]),
  });
  const set = (own, name, color, size) => ({
    name, x: own.map((d) => d.values[across.key]), y: own.map((d) => d.values.yield), error_y: bars(own, color), type: "scatter", mode: "markers",
    marker: { color, size }, customdata: own.map((d) => d.number), text: own.map((d) => hover(`design ${d.number}`, d.texts)), hovertemplate: "%{text}<extra></extra>",
  });
  const chosen = known.filter((d) => d.number === state.chosen);
  const traces = [set(known.filter((d) => d.number !== state.chosen), "designs", C.blue, 7), set(chosen, "chosen", C.ink, 10)];
  const own = layout({
    height: 300, dragmode: false, showlegend: false, xaxis: axisOf(across, known.map((d) => d.values[across.key])),
    yaxis: { title: { text: "dies that meet the target" }, tickformat: ".0%", range: [-0.03, 1.05] },
  });
  Plotly.react("plot-yield", traces, own, { ...CONFIG, displayModeBar: false });
}

function drawYieldCurve() {
  const curve = data.curve;
  if (!curve) return;
  const shape = data.score.less ? "hv" : "vh"; // a die's own score is the last limit that it meets
  const line = { width: 0, shape };
  const traces = [
    { x: curve.limits, y: curve.high, type: "scatter", mode: "lines", line, hoverinfo: "skip" },
    { x: curve.limits, y: curve.low, type: "scatter", mode: "lines", line, fill: "tonexty", fillcolor: "rgba(0,114,178,0.15)", hoverinfo: "skip" },
    { x: curve.limits, y: curve.share, type: "scatter", mode: "lines", line: { color: C.blue, width: 2, shape }, hovertemplate: "%{x}: %{y:.0%}<extra></extra>" },
  ];
  const score = columns.get("score");
  const axis = axisOf({ ...score, title: `${score.title} asked for` }, curve.limits);
  const own = layout({
    height: 300, showlegend: false, dragmode: false, xaxis: { ...axis, ...(data.score.percent ? { tickformat: ".1%" } : {}) },
    yaxis: { title: { text: "dies that reach it" }, tickformat: ".0%", range: [-0.03, 1.05] }, shapes: limits(score, { key: "" }),
  });
  own.annotations = [[data.threshold, "target", "right"], [data.exact, "exact NGD", "left"]].filter(([value]) => value != null).map(([value, text, anchor]) => ({
    x: axis.type === "log" ? Math.log10(value) : value, y: 1.05, text, showarrow: false, xanchor: anchor, yanchor: "bottom", font: { size: 10 },
  }));
  Plotly.react("plot-yield-curve", traces, own, { ...CONFIG, displayModeBar: false });
}

function drawSensitivity() {
  const found = data.sensitivity;
  if (!found) return;
  const labels = found.titles.map((title, k) => wrapped(title) + (title === found.names[k] ? "" : `<br><span style="font-size:0.8em;color:${C.grey}">${escaped(found.names[k])}</span>`));
  const bar = (name, key, color) => ({
    name, type: "bar", orientation: "h", y: labels, x: found[key], marker: { color },
    error_x: { type: "data", array: found[`${key}_conf`].map((value) => value ?? 0), color: C.ink, thickness: 1, width: 3 }, hovertemplate: `%{y}<br>${name}: %{x:.2f}<extra></extra>`,
  });
  const own = layout({
    barmode: "group", height: 90 + 44 * labels.length, dragmode: false, bargap: 0.25, yaxis: { autorange: "reversed", ticks: "" },
    xaxis: { title: { text: `share of the variance of ${escaped(found.score)}` }, rangemode: "tozero" },
  });
  Plotly.react("plot-sensitivity", [bar("with its interactions (total)", "total", C.sky), bar("alone (first order)", "first", C.blue)], own, { ...CONFIG, displayModeBar: false });
}

function drawHistory() {
  if (data.history.length < 3) return;
  const trace = { x: data.history.map(([at]) => at / 60), y: data.history.map(([, volume]) => volume), type: "scatter", mode: "lines", line: { shape: "hv", color: C.blue, width: 2 } };
  const own = layout({ height: 240, showlegend: false, dragmode: false, xaxis: { title: { text: "search (minutes)" } }, yaxis: { title: { text: "hypervolume" } } });
  Plotly.react("plot-history", [trace], own, { ...CONFIG, displayModeBar: false });
}
