// Filters such as "adc.bits <= 6, energy < 2 mJ": text to conditions, conditions on designs. Nothing here touches the page.
"use strict";

const PREFIXES = { f: 1e-15, p: 1e-12, n: 1e-9, u: 1e-6, "µ": 1e-6, m: 1e-3, k: 1e3, M: 1e6, G: 1e9, T: 1e12 };
const AREAS = { "mm²": 1, "mm^2": 1, mm2: 1, "µm²": 1e-6, "um^2": 1e-6, um2: 1e-6, "m²": 1e6, "m^2": 1e6, m2: 1e6 }; // in mm²
const TIMES = { min: 60, h: 3600, d: 86400 };
const ORDERS = {
  "<=": (a, b) => a <= b, ">=": (a, b) => a >= b, "<": (a, b) => a < b, ">": (a, b) => a > b, "=": (a, b) => a === b, "!=": (a, b) => a !== b,
};

/** A number in SI units, areas in mm²: "2 mJ" -> 0.002, "3 %" -> 0.03. NaN for what is no number or has another unit. */
function numberOf(text, unit) {
  const parts = /^([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*)$/.exec(text.trim().replace("−", "-"));
  if (!parts) return NaN;
  const value = Number(parts[1]), word = parts[2].trim();
  if (word === "") return value;
  if (word === "%") return value / 100;
  if (unit === "mm²") return value * (AREAS[word] ?? NaN);
  if (unit === "s" && word in TIMES) return value * TIMES[word];
  const ohm = unit === "ohm" ? word.replace(/Ω$/, "ohm") : word;
  const rest = unit && ohm.endsWith(unit) ? ohm.slice(0, ohm.length - unit.length) : ohm;
  if (rest === "") return value;
  return value * (rest.length === 1 ? PREFIXES[rest] ?? NaN : NaN);
}

/** The column that a name means: its key, its title, or the only key that has it as a part. */
function columnOf(name, columns) {
  const word = name.trim().toLowerCase().replaceAll("_", " ");
  const same = columns.filter((c) => [c.key, c.title].some((known) => known.toLowerCase().replaceAll("_", " ") === word));
  if (same.length) return same[0];
  const alike = columns.filter((c) => c.key.toLowerCase().split(".").includes(word) || c.title.toLowerCase().startsWith(word));
  return alike.length === 1 ? alike[0] : null;
}

/** {conditions, problem}: what a filter asks, or which part of it cannot be read. */
function parseFilter(text, columns) {
  const conditions = [];
  for (const part of text.split(/[,;]|\band\b/).map((piece) => piece.trim()).filter(Boolean)) {
    const found = /^(.+?)\s*(<=|>=|!=|<|>|=)\s*(.+)$/.exec(part);
    if (!found) return { conditions: [], problem: `"${part}" is no condition; write one such as adc.bits <= 6` };
    const column = columnOf(found[1], columns);
    if (!column) return { conditions: [], problem: `"${found[1]}" is no column; there are ${columns.map((c) => c.key).join(", ")}` };
    const [order, given] = [found[2], found[3].trim()];
    const value = numberOf(given, column.unit);
    if (!Number.isFinite(value)) {
      if (order !== "=" && order !== "!=") return { conditions: [], problem: `"${given}" is no number in ${column.unit || "plain units"}` };
      conditions.push((design) => ORDERS[order](design.texts[column.key].toLowerCase(), given.toLowerCase()));
      continue;
    }
    conditions.push((design) => {
      const own = design.values[column.key];
      return typeof own === "number" && (order === "=" ? close(own, value) : order === "!=" ? !close(own, value) : ORDERS[order](own, value));
    });
  }
  return { conditions, problem: "" };
}

function close(a, b) {
  return Math.abs(a - b) <= 1e-9 * Math.max(Math.abs(a), Math.abs(b));
}
