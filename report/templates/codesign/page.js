// Events, and the first drawing.
"use strict";

function choose(number, scroll = false) {
  if (!byNumber.has(number)) return;
  state.chosen = number;
  history.replaceState(null, "", `#design=${number}`);
  for (const line of $("rows").children) line.setAttribute("aria-selected", String(Number(line.dataset.number) === number));
  drawFront();
  drawYield();
  drawChosen();
  if (scroll) $("card").scrollIntoView({ block: "nearest" });
}

function chosenByRow(event) {
  const line = event.target.closest("tr");
  if (!line || (event.type === "keydown" && event.key !== "Enter" && event.key !== " ")) return;
  event.preventDefault();
  choose(Number(line.dataset.number));
}

function listen() {
  for (const id of ["filter", "feasible", "front", "level", "references"]) $(id).addEventListener("input", update);
  for (const id of ["across", "up"]) $(id).addEventListener("input", drawFront);
  $("yield-across")?.addEventListener("input", drawYield);
  $("rows").addEventListener("click", chosenByRow);
  $("rows").addEventListener("keydown", chosenByRow);
  $("unbox").addEventListener("click", () => { state.boxed = null; update(); });
  for (const button of document.querySelectorAll("#designs th button")) {
    button.addEventListener("click", () => {
      state.down = state.sort === button.dataset.key && !state.down;
      state.sort = button.dataset.key;
      fillTable();
    });
  }
  const clicked = (event) => {
    const number = event.points[0]?.customdata;
    if (typeof number === "number") choose(number);
  };
  $("plot-front").on("plotly_click", clicked);
  $("plot-yield")?.on("plotly_click", clicked);
  $("plot-front").on("plotly_selected", (event) => {
    const inside = (event?.points ?? []).map((point) => point.customdata).filter((number) => typeof number === "number");
    if (!event || !event.range) return;
    state.boxed = new Set(inside);
    update();
  });
  $("plot-front").on("plotly_deselect", () => { if (state.boxed) { state.boxed = null; update(); } });
  window.addEventListener("hashchange", () => choose(asked()));
}

function asked() {
  return Number(/^#design=(\d+)$/.exec(location.hash)?.[1] ?? NaN);
}

if (data.designs.length) {
  const first = byNumber.has(asked()) ? asked() : data.winner ?? data.designs.find((design) => design.front)?.number ?? data.designs[0].number;
  state.chosen = first;
  update();
  drawChosen();
  drawYieldCurve();
  listen();
}
drawSensitivity();
drawHistory();
document.documentElement.dataset.ready = "true";
