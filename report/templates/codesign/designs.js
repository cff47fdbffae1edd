// The page of a co-design: one choice of designs and one chosen design, shown by plots, table and specification alike.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const byNumber = new Map(data.designs.map((design) => [design.number, design]));
const columns = new Map(data.columns.map((column) => [column.key, column]));
const C = { ink: "#222222", grey: "#8a8a8a", pale: "#dddddd", blue: "#0072B2", green: "#009E73", red: "#D55E00", purple: "#CC79A7", orange: "#E69F00", sky: "#56B4E9" };
const STACK = [C.blue, C.red, C.green, C.orange, C.purple, C.sky, "#8C6D31", C.grey, "#5B4B8A", "#B0B000"];
const PREFIXED = new Set(["s", "J", "A", "F", "H", "Hz", "S", "V", "V/s", "W", "bit/s"]);
const CONFIG = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["autoScale2d", "toImage"] };
const narrow = window.matchMedia("(max-width: 700px)").matches;
const state = { chosen: null, boxed: null, sort: null, down: false, drawings: 0 };
const $ = (id) => document.getElementById(id);

function layout(more) {
  const axis = { automargin: true, linecolor: C.grey, gridcolor: "#eeeeee", zeroline: false, ticks: "outside", tickcolor: C.grey };
  const { xaxis, yaxis, ...rest } = more;
  return {
    font: { family: '"DejaVu Sans", Verdana, "Helvetica Neue", Arial, sans-serif', size: narrow ? 11 : 12, color: C.ink },
    margin: { l: 10, r: 12, t: 12, b: 10 }, paper_bgcolor: "#fff", plot_bgcolor: "#fff", hovermode: "closest", hoverlabel: { align: "left" },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: narrow ? 10 : 11 }, traceorder: "normal", entrywidth: 125 },
    ...rest, xaxis: { ...axis, ...xaxis }, yaxis: { ...axis, ...yaxis },
  };
}

/** An axis of a quantity: logarithmic where it has to be, with ticks such as 10 ms. */
function axisOf(column, values) {
  const known = values.filter((value) => typeof value === "number");
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const log = known.length > 0 && low > 0 && high / low > 1.5 && (column.log || high / low > 30);
  const prefixed = PREFIXED.has(column.unit);
  const found = { title: { text: escaped(column.title) + (column.unit && !prefixed ? ` (${escaped(column.unit)})` : "") }, type: log ? "log" : "linear" };
  if (values.some((value) => typeof value === "string")) return { ...found, type: "category" };
  if (log) {
    const tickvals = logTicks(low, high);
    return { ...found, tickvals, ticktext: tickvals.map((value) => tickText(value, column, prefixed)) };
  }
  if (column.percent) return { ...found, nticks: 8, tickformat: "~%" };
  return prefixed ? { ...found, nticks: 7, tickformat: "~s", ticksuffix: column.unit } : { ...found, nticks: 8 };
}

/** 1, 2, 5, 10, ... or powers of ten, as many as there is room for, somewhat beyond both ends. */
function logTicks(low, high) {
  const room = narrow ? 5 : 9, decades = Math.log10(high / low);
  const digits = 3 * decades < room ? [1, 2, 5] : 2 * decades < room ? [1, 3] : [1];
  const stride = digits.length > 1 ? 1 : Math.max(1, Math.ceil(decades / room));
  const found = [];
  for (let k = Math.floor(Math.log10(low)) - 1; k <= Math.log10(high) + 1; k += 1) {
    if (k % stride === 0) found.push(...digits.map((digit) => Number(`${digit}e${k}`)));
  }
  return found;
}

function tickText(value, column, prefixed) {
  if (column.percent) return `${Number((100 * value).toPrecision(3))} %`;
  if (!prefixed) return value >= 1e5 || value < 1e-3 ? value.toExponential(0).replace("e+", "e") : String(value);
  const k = Math.floor(Math.log10(value) / 3 + 1e-9);
  const prefix = { [-6]: "a", [-5]: "f", [-4]: "p", [-3]: "n", [-2]: "µ", [-1]: "m", 0: "", 1: "k", 2: "M", 3: "G", 4: "T" }[k];
  return prefix === undefined ? `${value.toExponential(0)} ${column.unit}` : `${Number((value / 1000 ** k).toPrecision(3))} ${prefix}${column.unit}`;
}

// ---- which designs are shown

function inControls() {
  const { conditions, problem } = parseFilter($("filter").value, data.columns);
  $("problem").textContent = problem;
  $("filter").setAttribute("aria-invalid", problem ? "true" : "false");
  const level = $("level").value;
  return data.designs.filter((design) =>
    (!$("feasible").checked || design.feasible) && (!$("front").checked || design.front) && (!level || design.fidelity === level) &&
    conditions.every((holds) => holds(design)));
}

function shown() {
  return inControls().filter((design) => !state.boxed || state.boxed.has(design.number));
}

function update() {
  drawFront();
  drawYield();
  fillTable();
}

// ---- Pareto front

function drawFront() {
  const [x, y] = [columns.get($("across").value), columns.get($("up").value)];
  const kept = shown();
  const has = (one) => one.values[x.key] != null && one.values[y.key] != null;
  const kinds = [
    ["meets the target", (d) => d.feasible && d.fidelity === "full", { color: C.green, size: 9 }],
    ["misses it", (d) => !d.feasible && d.fidelity === "full", { color: "#fff", size: 8, line: { color: C.red, width: 1.5 } }],
    ["cheaper level only", (d) => d.fidelity !== "full", { color: C.pale, size: 7, line: { color: C.grey, width: 0.8 } }],
  ];
  const traces = kinds.map(([name, holds, marker]) => points(name, kept.filter((d) => has(d) && holds(d)), x, y, marker));
  traces.unshift(staircase(kept.filter((d) => has(d) && d.feasible && d.fidelity === "full"), x, y));
  const others = $("references").checked ? data.references.filter((r) => has({ values: { ...r.values } })) : [];
  traces.push({
    name: "references", x: others.map((r) => r.values[x.key]), y: others.map((r) => r.values[y.key]), mode: "markers", type: "scatter",
    marker: { symbol: "diamond", size: 11, color: C.blue }, text: others.map((r) => hover(r.name, r.texts)), hovertemplate: "%{text}<extra></extra>",
  });
  const marked = (number, name, marker) => points(name, kept.filter((d) => has(d) && d.number === number), x, y, marker);
  traces.push(marked(data.winner, "winner", { symbol: "star", size: 17, color: C.orange, line: { color: C.ink, width: 1 } }));
  traces.push(marked(state.chosen, "chosen", { symbol: "circle-open", size: 22, color: C.ink, line: { color: C.ink, width: 2.5 } }));
  const all = [...data.designs, ...others];
  const own = layout({
    xaxis: axisOf(x, all.map((d) => d.values[x.key])), yaxis: axisOf(y, all.map((d) => d.values[y.key])), height: narrow ? 380 : 420,
    dragmode: narrow ? "pan" : "select", uirevision: `${x.key} ${y.key}`, selections: [], selectionrevision: ++state.drawings, shapes: limits(x, y), margin: { l: 10, r: 12, t: 34, b: 10 },
    legend: { orientation: "h", x: 0, y: 0, yref: "container", yanchor: "bottom", font: { size: narrow ? 10 : 11 }, traceorder: "normal", entrywidth: 125 },
  });
  Plotly.react("plot-front", traces, own, CONFIG);
}

function points(name, designs, x, y, marker) {
  return {
    name, x: designs.map((d) => d.values[x.key]), y: designs.map((d) => d.values[y.key]), mode: "markers", type: "scatter", marker,
    customdata: designs.map((d) => d.number), text: designs.map((d) => hover(`design ${d.number}`, d.texts)), hovertemplate: "%{text}<extra></extra>",
    selected: { marker: { opacity: 1 } }, unselected: { marker: { opacity: 1 } },
  };
}

/** The front of two quantities among the designs shown: each step is the best so far. */
function staircase(designs, x, y) {
  const sign = (column) => (column.key === "yield" || (column.key === "score" && !data.score.less) ? -1 : 1);
  const line = [];
  const number = designs.filter((d) => typeof d.values[x.key] === "number" && typeof d.values[y.key] === "number");
  number.sort((a, b) => sign(x) * (a.values[x.key] - b.values[x.key]) || sign(y) * (a.values[y.key] - b.values[y.key]));
  for (const d of number) {
    if (!line.length || sign(y) * (d.values[y.key] - line[line.length - 1].values[y.key]) < 0) line.push(d);
  }
  return {
    name: "front of these two", x: line.map((d) => d.values[x.key]), y: line.map((d) => d.values[y.key]), mode: "lines", type: "scatter",
    line: { shape: "hv", color: C.green, width: 1.2, dash: "dot" }, hoverinfo: "skip",
  };
}

function limits(x, y) {
  const at = (value, key, dash) => {
    const line = { color: C.ink, width: 1, dash };
    if (value == null) return [];
    if (x.key === key) return [{ type: "line", x0: value, x1: value, yref: "paper", y0: 0, y1: 1, line }];
    return y.key === key ? [{ type: "line", y0: value, y1: value, xref: "paper", x0: 0, x1: 1, line }] : [];
  };
  return [...at(data.threshold, "score", "dash"), ...at(data.exact, "score", "dot")];
}

function hover(name, texts) {
  const rows = ["score", "energy", "time", "area", "yield"].filter((key) => texts[key]).map((key) => `${escaped(columns.get(key).title)}: ${escaped(texts[key])}`);
  return [`<b>${escaped(name)}</b>`, ...rows].join("<br>");
}

function escaped(text) {
  return String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

// ---- table of designs

function fillTable() {
  const kept = shown();
  if (state.sort) {
    const value = (d) => (state.sort === "number" ? d.number : d.values[state.sort]);
    kept.sort((a, b) => ordered(value(a), value(b), state.down ? -1 : 1) || a.number - b.number);
  }
  $("rows").replaceChildren(...kept.map(row));
  $("count").textContent = `${kept.length} of ${data.designs.length} designs${state.boxed ? ", in the box of the plot" : ""}`;
  $("unbox").hidden = !state.boxed;
  for (const button of document.querySelectorAll("#designs th button")) {
    const own = button.dataset.key === state.sort;
    button.parentElement.setAttribute("aria-sort", own ? (state.down ? "descending" : "ascending") : "none");
  }
}

/** What is not known comes last, whichever way. */
function ordered(a, b, way) {
  if (a == null || b == null) return (a == null) - (b == null);
  return way * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
}

function row(design) {
  const line = element("tr", { tabindex: "0", "data-number": design.number, "aria-selected": String(design.number === state.chosen) });
  line.className = design.feasible ? "" : "missed";
  line.append(element("th", { scope: "row" }, design.number + (design.number === data.winner ? " ★" : "")));
  line.append(element("td", {}, design.feasible ? "yes" : "no"), element("td", {}, design.level));
  for (const column of data.columns) line.append(element("td", {}, design.texts[column.key]));
  return line;
}

function element(name, attributes = {}, text = null) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== null) made.textContent = text;
  return made;
}
