// @ts-check
/**
 * A model's geometry: cosines beside chance, the spectrum, who collides, hubs, layers, what occurs
 * together.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schema
 * molehill.superposition-report/1, see docs/rooms/superposition.md) into `el` and returns its own
 * cleanup. It asks nothing of the network, and every text from the data becomes a text node.
 */

import {
  Page, clamp, clipped, csv, download, h, minus, number, percent, rendering, s, shown, signed, sized,
  small,
} from "./kit.js";

const render = rendering(() => View);
export default { render };

const MEASURES = {
  typical: ["typical |cosine|, times chance", (line) => line.rms / line.random_rms],
  largest: ["largest |cosine|", (line) => Math.abs(line.largest)],
  beyond: ["largest |cosine| over that of the same spectrum", (line) => Math.abs(line.largest) / line.matched_largest],
  rank: ["effective rank over that of random vectors", (line) => line.effective_rank / line.random_rank],
  common: ["share of the squared length in the common direction", (line) => line.common_share],
};
const NAMES = { "mlp.gate": "MLP gate rows", "mlp.up": "MLP rows", "mlp.columns": "MLP columns", "attn.out": "attention outputs" };
const INKS = { "mlp.gate": "c1", "mlp.up": "c2", "mlp.columns": "c3", "attn.out": "c4" };
const SHOWN = 60;

class View extends Page {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.subject = `geometry-${data.provenance.model}`;
    this.state = { ...this.state, table: "0", measure: "typical", kind: "", find: "" };
    this.notice = this.fromHash();
  }

  build() {
    const { tables, layers, together } = this.data;
    this.mount(this.head(), this.leadOf(this.data.summary),
      tables.length ? [this.stage(), this.pairs(), this.lists()] : "",
      layers.length ? this.layers() : "", together.length ? this.together() : "",
      this.footOf(this.data.notes, "report"));
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.root);
    this.on(document, "keydown", (event) => {
      if (event.target.closest?.("input, select, textarea")) return;
      if (event.key === "?") this.dialog.showModal();
      if (event.key === "/" && this.field) {
        event.preventDefault();
        this.field.focus();
      }
    });
    this.resized();
  }

  halt() {
    this.observer?.disconnect();
    clearTimeout(this.spoken);
  }

  takers() {
    const { tables, layers } = this.data;
    const held = {};
    if (tables.length > 1) held.table = (value) => this.take("table", value, 0, tables.length - 1);
    if (layers.length) held.measure = (value) => Object.hasOwn(MEASURES, value) && this.set("measure", value);
    if (tables.length) {
      held.kind = (value) => tables.some((table) => Object.hasOwn(table.kinds.all ?? {}, value)) && this.set("kind", value);
      held.find = (value) => value.length < 200 && this.set("find", value);
    }
    return held;
  }

  readAddress() {
    if (this.field) this.field.value = this.state.find;
  }

  resized() {
    const room = Math.floor(this.root.clientWidth);
    if (room === this.room) return;
    this.room = room;
    this.all();
  }

  get table() {
    return this.data.tables[Number(this.state.table)];
  }

  all() {
    const { tables, layers, together } = this.data;
    if (tables.length) {
      this.drawTable();
      this.drawPairs();
      this.drawLists();
    }
    if (layers.length) this.drawLayers();
    if (together.length) this.drawTogether();
    this.syncControls();
    const { table, measure, kind, find } = this.state;
    this.writeHash([...(tables.length > 1 ? [`table=${table}`] : []), ...(layers.length ? [`measure=${measure}`] : []),
      ...(kind ? [`kind=${encodeURIComponent(kind)}`] : []), ...(find ? [`find=${encodeURIComponent(find)}`] : [])]);
  }

  head() {
    const { provenance: made, tables, layers } = this.data;
    const keys = [["Tab", "the next control"], ["← →", "another table or measure (choice focused)"], ["/", "search the pairs"], ["?", "this list"], ["Esc", "close it"]];
    const what = [tables.length === 1 ? "1 matrix in full" : `${tables.length} matrices in full`, ...(layers.length ? [`${layers.length} in layers`] : [])];
    return h("header", {},
      h("div", {}, h("h1", {}, "Geometry"), h("p", { class: "sub" }, `${made.model}, ${made.dtype} · ${what.join(", ")}`)),
      h("div", { class: "tools" }, this.themeSwitch(), this.helpOf(keys, "The address holds what you see: copy it to come back.")));
  }

  // --- one matrix --------------------------------------------------------------------------------

  stage() {
    const { tables } = this.data;
    this.cosines = s("svg", { class: "chart", role: "img" });
    this.spectrum = s("svg", { class: "chart", role: "img" });
    this.facts = h("div", {});
    this.heading = h("h2", {});
    const choice = tables.length > 1 ? this.segments("table", "Matrix", Object.fromEntries(tables.map((table, at) => [String(at), table.name]))) : "";
    return h("section", { class: "stage" },
      h("div", { class: "picture" },
        h("div", { class: "controls" }, this.heading, choice, this.exports("cosines", () => this.cosines, () => this.histogramRows())),
        h("div", { class: "frame" }, this.cosines),
        this.captionOf = h("p", { class: "caption" }),
        h("div", { class: "controls" }, h("h3", {}, "Spectrum"), this.exports("spectrum", () => this.spectrum, () => this.spectrumRows())),
        h("div", { class: "frame" }, this.spectrum),
        h("p", { class: "caption" }, "Share of the squared length along each axis, the largest first; both scales logarithmic. Mean taken off: without the direction that all have in common.")),
      h("div", { class: "side" }, this.facts));
  }

  histogramRows() {
    const { from, to, real, matched, random } = this.table.histogram;
    const wide = (to - from) / real.length;
    return [["from", "to", "rows", "same spectrum", "random"], ...real.map((share, at) => [from + at * wide, from + (at + 1) * wide, share, matched[at], random[at]])];
  }

  spectrumRows() {
    const { axis, real, centred, random } = this.table.spectrum;
    return [["axis", "rows", "mean taken off", "random"], ...axis.map((place, at) => [place, real[at], centred[at], random[at]])];
  }

  drawTable() {
    const { table } = this;
    const { from, to, real, matched, random, matched_rows: some } = table.histogram;
    const wide = (to - from) / real.length;
    const middles = real.map((_, at) => from + (at + 0.5) * wide);
    this.heading.textContent = `Cosines of all pairs: ${table.name}`;
    const least = Math.min(...real.filter((share) => share > 0)) / 2;
    curves(this.cosines, {
      title: `Cosines of the ${table.name}'s rows`, width: widthOf(this.cosines), height: 260, xs: middles, ticks: even(from, to), tick: (value) => minus(value.toFixed(1)), floor: least,
      series: [["random", "c8", random], ["same spectrum", "c2", matched], ["rows", "c1", real]], told: percents,
    });
    this.captionOf.textContent = `${table.count.toLocaleString("en")} rows (${table.note})${table.left_out ? `, ${table.left_out} rows of zeros left out` : ""}. Share of pairs in each bin, on a logarithmic scale; same spectrum: ${some.toLocaleString("en")} vectors drawn.`;
    const held = table.spectrum;
    curves(this.spectrum, {
      title: `Spectrum of the ${table.name}'s rows`, width: widthOf(this.spectrum), height: 200, xs: held.axis.map(Math.log10), ticks: powers(held.axis[held.axis.length - 1]), tick: (value) => String(Math.round(10 ** value)),
      floor: Math.max(1e-7, Math.min(...held.real.filter((share) => share > 0)) / 2),
      series: [["random", "c8", held.random], ["mean taken off", "c2", held.centred], ["rows", "c1", held.real]], told: percents,
    });
    const line = (name, ...values) => h("tr", {}, h("th", { scope: "row" }, name), values.map((value) => h("td", { class: "figure" }, value === null ? "" : typeof value === "number" ? number(value) : value)));
    this.facts.replaceChildren(
      h("h2", {}, `${table.count.toLocaleString("en")} rows, ${table.dimensions} dimensions`),
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Measures" }, h("table", { class: "measures" },
        h("thead", {}, h("tr", {}, ["", "rows", "same spectrum", "random"].map((name, at) => h("th", { scope: "col", class: at ? "figure" : null }, name)))),
        h("tbody", {},
          line("typical |cosine|", table.rms, null, fine(table.random_rms)),
          line("… mean taken off", fine(table.rms_centred), null, fine(table.random_rms)),
          line("mean cosine", fine(table.mean_cosine), null, "0"),
          line("one pair in 1,000 above", table.tail, table.matched_tail, null),
          line("largest |cosine|", table.largest, table.matched_largest, table.random_largest),
          line("effective rank", table.effective_rank, null, table.random_rank),
          line("participation ratio", table.participation, null, null),
          line("… mean taken off", table.participation_centred, null, null)))),
      h("dl", { class: "figures" }, [
        ["no set stays below", `${fine(table.bound)} (${table.bound_name})`],
        ["half of the squared length", `${held.for_half} ${held.for_half === 1 ? "axis" : "axes"}`], ["90% of it", `${held.for_most} axes (random ${held.random_for_most})`],
        ["first axis", percent(table.top_share)], ["common direction", percent(table.common_share)],
      ].map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))));
    this.say(() => `${table.name}: largest cosine ${number(table.largest)}, drawn with the same spectrum ${number(table.matched_largest)}`);
  }

  // --- who collides ------------------------------------------------------------------------------

  pairs() {
    this.field = /** @type {HTMLInputElement} */ (h("input", { type: "search", placeholder: "Search", "aria-label": "Search the pairs", "aria-keyshortcuts": "/" }));
    this.field.value = this.state.find;
    this.on(this.field, "input", () => this.change({ find: this.field.value }));
    this.choice = /** @type {HTMLSelectElement} */ (h("select", { "aria-label": "Kind of pair" }));
    this.on(this.choice, "change", () => this.change({ kind: this.choice.value }));
    this.list = h("ol", { class: "pairs" });
    this.counted = h("p", { class: "caption", "aria-live": "polite" });
    const save = this.button("CSV", () => this.savePairs(), { class: "quiet", title: "Save as CSV" });
    return h("section", { class: "why" },
      h("div", { class: "controls" }, h("h2", {}, "Who collides with whom"), h("div", { class: "search" }, this.field, this.choice, save)),
      this.counted, this.list);
  }

  savePairs() {
    const rows = [["first", "second", "cosine", "kind", "mutual"], ...this.found().map((one) => [one.first, one.second, one.cosine, one.kind, one.mutual])];
    download(`${this.fileName("pairs")}.csv`, csv(rows), "text/csv");
  }

  found() {
    const [wanted, kind] = [this.state.find.trim().toLowerCase(), this.state.kind];
    return this.table.collisions.filter((one) => (!kind || one.kind === kind) && (!wanted || `${shown(one.first)} ${shown(one.second)}`.toLowerCase().includes(wanted)));
  }

  drawPairs() {
    const { table } = this;
    const kinds = table.kinds.all ?? {};
    if (this.state.kind && !Object.hasOwn(kinds, this.state.kind)) this.state.kind = "";
    this.choice.hidden = !Object.keys(kinds).length;
    this.choice.replaceChildren(h("option", { value: "" }, "all kinds"), ...Object.keys(kinds).map((kind) => h("option", { value: kind, selected: kind === this.state.kind }, kind)));
    const found = this.found();
    const total = Object.values(kinds).reduce((sum, count) => sum + count, 0);
    const told = Object.entries(kinds).map(([kind, count]) => `${kind} ${percent(count / total)}`).join(", ");
    this.counted.textContent = `${found.length.toLocaleString("en")} of the ${table.collisions.length.toLocaleString("en")} closest of ${table.collisions_in_all.toLocaleString("en")} pairs of which one is the other's nearest${table.bundles.length ? ", those inside one bundle left out" : ""}.${told ? ` All by kind: ${told}.` : ""}`;
    const lines = found.slice(0, SHOWN).map((one) => {
      const bar = h("span", { class: one.cosine < 0 ? "bar against" : "bar" });
      bar.style.width = `${100 * clamp(Math.abs(one.cosine), 0, 1)}%`;
      return h("li", {}, h("span", { class: "names", dir: "auto", title: `${one.first} | ${one.second}` }, clipped(shown(one.first), 30), h("i", {}, one.mutual ? " ↔ " : " – "), clipped(shown(one.second), 30)),
        h("span", { class: "kind" }, one.kind), h("span", { class: "track" }, bar), h("span", { class: "value" }, signed(one.cosine)));
    });
    this.list.replaceChildren(...lines, found.length > SHOWN ? h("li", { class: "rest" }, `and ${found.length - SHOWN} more: search, or save all`) : "");
  }

  // --- lengths, hubs, bundles --------------------------------------------------------------------

  lists() {
    this.three = h("div", { class: "three" });
    return h("section", { class: "why" }, this.three);
  }

  drawLists() {
    const { lengths_told: lengths, hubs, bundles } = this.table;
    const ends = Object.fromEntries(lengths.quantiles.map(([share, value]) => [share, value]));
    const words = (pairs) => h("ul", { class: "words" }, pairs.map(([name, value]) => h("li", { dir: "auto" }, clipped(shown(name), 24), h("i", {}, typeof value === "number" && !Number.isInteger(value) ? number(value) : value.toLocaleString("en")))));
    const told = hubs && h("div", {},
      h("h2", {}, "Hubs"), words(hubs.largest),
      small(`Rows that are among the ${hubs.k} nearest of so many others; ${percent(hubs.orphans)} are of none.`),
      h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, `skewness on ${hubs.compared[0]?.[1].toLocaleString("en") ?? ""} rows`), h("th", {}, ""))),
        h("tbody", {}, hubs.compared.map(([name, , value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", { class: "figure" }, number(value)))))),
      small(`On all: ${number(hubs.skewness)}.`));
    this.three.replaceChildren(
      h("div", {}, h("h2", {}, "Lengths"),
        small(`Half below ${number(ends[0.5])}; 1% below ${number(ends[0.01])}, 1% above ${number(ends[0.99])}. Correlation with the row's number: ${number(lengths.with_number)}.`),
        h("h3", {}, "longest"), words(lengths.longest), h("h3", {}, "shortest"), words(lengths.shortest)),
      ...(told ? [told] : []),
      ...(bundles.length ? [h("div", {}, h("h2", {}, bundles.length > 1 ? "Bundles" : "Bundle"), bundles.map((one) => [
        h("h3", {}, `${one.size.toLocaleString("en")} rows, mean cosine ${number(one.mean_cosine)}`),
        h("ul", { class: "words" }, one.rows.slice(0, 24).map((name) => h("li", { dir: "auto" }, clipped(shown(name), 20))), one.size > 24 ? h("li", {}, "…") : ""),
        small(`Lengths about ${number(one.length)}, within ${percent(one.spread)}; of other rows within ${percent(one.others)}.`)]),
      small("Rows that share one direction: hardly ever trained, or used alike. The names tell which."))] : []));
  }

  // --- layers ------------------------------------------------------------------------------------

  layers() {
    this.depth = s("svg", { class: "chart", role: "img" });
    this.measured = h("p", { class: "caption" });
    const labels = { typical: "typical", largest: "largest", beyond: "beyond its spectrum", rank: "rank used", common: "common direction" };
    return h("section", { class: "why" },
      h("div", { class: "controls" }, h("h2", {}, "Layers"), this.segments("measure", "Measure", labels), this.exports("layers", () => this.depth, () => this.layerRows())),
      h("div", { class: "frame" }, this.depth), this.measured,
      this.details("As a table", () => this.layerRows()),
      this.details("Neurons that ask nearly the same, by layer", () => this.twinRows()));
  }

  twinRows() {
    const cells = (one) => [one.layer, one.pairs, one.columns, one.opposed, one.agreeing ?? "", one.correlation, one.closest.map(([first, second, row, column]) => `${first} and ${second}: ${number(row)}, ${number(column)}`).join("; ")];
    return [["layer", "pairs of rows from 0.5", "mean cosine of columns", "columns apart", "with the sign of up rows", "correlation of all pairs", "closest: rows, columns"], ...this.data.twins.map(cells)];
  }

  layerRows() {
    const names = ["name", "rms", "random_rms", "largest", "matched_largest", "random_largest", "tail", "matched_tail", "effective_rank", "random_rank", "participation", "common_share", "median_length"];
    return [[...names, "pair"], ...this.data.layers.map((line) => [...names.map((name) => line[name]), line.pair.join(" and ")])];
  }

  drawLayers() {
    const { layers } = this.data;
    const [title, measure] = MEASURES[this.state.measure];
    const gated = layers.some((line) => line.kind === "mlp.gate");
    const last = Math.max(...layers.map((line) => line.layer));
    const every = [1, 2, 5, 10, 20, 50].find((step) => last / step <= 10) ?? 100;
    const series = Object.keys(NAMES).flatMap((kind) => {
      const of = layers.filter((line) => line.kind === kind);
      if (!of.length) return [];
      const name = kind === "mlp.up" && gated ? "MLP up rows" : NAMES[kind];
      return [[name, INKS[kind], of.map(measure), of]];
    });
    curves(this.depth, {
      title: `Layers: ${title}`, width: widthOf(this.depth), height: 230, xs: series[0][2].map((_, at) => at), plain: true, dots: true,
      ticks: Array.from({ length: Math.floor(last / every) + 1 }, (_, at) => at * every), tick: String, series, told: fine,
      rule: ["typical", "beyond", "rank"].includes(this.state.measure) ? 1 : null,
    });
    const most = layers.reduce((best, line) => (Math.abs(line.largest) > Math.abs(best.largest) ? line : best));
    this.measured.textContent = `By layer: ${title}. The closest pair of all is ${most.pair.join(" and ")} of ${most.name}, ${signed(most.largest)}.`;
  }

  // --- together ----------------------------------------------------------------------------------

  together() {
    this.effects = h("div", {});
    return h("section", { class: "why" }, h("h2", {}, "What occurs together"), this.effects,
      small("Mean over pairs that occur together more than chance, less that of pairs of like frequency that do not. Line: 95% interval, by a jackknife over groups of rows. Band: two standard deviations where rows of like frequency are dealt one another's vectors."));
  }

  drawTogether() {
    this.effects.replaceChildren(...this.data.together.map((one) => {
      const figure = s("svg", { class: "chart", role: "img" });
      const box = h("div", { class: "frame" }, figure);
      const list = (pairs) => h("ul", { class: "words" }, pairs.map(([first, second, cosine]) => h("li", { dir: "auto" }, `${clipped(shown(first), 16)} – ${clipped(shown(second), 16)}`, h("i", {}, signed(cosine)))));
      queueMicrotask(() => effectChart(figure, one, Math.min(720, widthOf(figure))));
      return h("div", {}, h("h3", {}, `${one.linked.toLocaleString("en")} pairs against ${one.others.toLocaleString("en")}, of ${one.rows.toLocaleString("en")} rows in ${one.events.toLocaleString("en")} ${one.what}`),
        box, small("Together and most alike"), list(one.alike), small("Together and most apart"), list(one.opposed));
    }));
  }
}

/** @param {number | null} value */
function fine(value) {
  if (value === null || value === undefined) return "not finite";
  return Math.abs(value) < 0.095 && value !== 0 ? minus(value.toFixed(3)) : number(value);
}

/** @param {number} share */
function percents(share) {
  const value = 100 * share;
  return `${value >= 1 ? value.toFixed(0) : value >= 1e-4 ? Number(value.toPrecision(1)) : value.toExponential(0)}%`;
}

/** @param {Element} figure */
function widthOf(figure) {
  return Math.max(220, Math.floor(figure.parentElement?.clientWidth ?? 0));
}

/** @param {number} from @param {number} to */
function even(from, to) {
  const step = to - from > 1.2 ? 0.5 : to - from > 0.5 ? 0.2 : 0.1;
  const found = [];
  for (let at = Math.ceil(from / step - 1e-9); at * step <= to + 1e-9; at += 1) found.push(at * step);
  return found;
}

/** @param {number} most */
function powers(most) {
  return Array.from({ length: Math.floor(Math.log10(most)) + 1 }, (_, at) => at);
}

/**
 * Lines over one axis, with a legend above; upwards logarithmic unless `plain`.
 * @param {SVGElement} figure @param {any} given
 */
function curves(figure, given) {
  const { title, width, height, xs, ticks, tick, series, told, plain, dots, floor, rule } = given;
  const pad = { left: 56, right: 12, top: 28, bottom: 26 };
  const up = (value) => (plain ? value : Math.log10(Math.max(value, floor)));
  const values = series.flatMap(([, , line]) => line.filter((value) => value !== null && (plain || value >= floor)).map(up));
  if (rule) values.push(rule);
  let [low, high] = [Math.min(...values), Math.max(...values)];
  if (plain) {
    const room = (high - low || 1) * 0.08;
    [low, high] = [low - room, high + room];
  }
  const [left, right] = [Math.min(...xs), Math.max(...xs)];
  const x = (value) => pad.left + ((value - left) / (right - left || 1)) * (width - pad.left - pad.right);
  const y = (value) => height - pad.bottom - ((value - low) / (high - low || 1)) * (height - pad.top - pad.bottom);
  const marks = plain
    ? [0.15, 0.5, 0.85].map((share) => low + share * (high - low)).map((value) => [value, told(value)])
    : Array.from({ length: Math.floor(high) - Math.ceil(low) + 1 }, (_, at) => Math.ceil(low) + at).map((power) => [power, told(10 ** power)]);
  let from = pad.left;
  const legend = [...series].reverse().map(([name, ink]) => {
    const key = s("g", { class: ink }, s("line", { class: "curve", x1: from, x2: from + 16, y1: 10, y2: 10 }), s("text", { x: from + 21, y: 10, dy: "0.35em" }, name));
    from += 34 + 6.7 * name.length;
    return key;
  });
  const wrapped = from > width + 10;
  const lines = series.map(([name, ink, line, of]) => {
    const parts = [];
    let open = false;
    line.forEach((value, at) => {
      const there = value !== null && (plain || value >= floor);
      if (there) parts.push(`${open ? "L" : "M"}${x(xs[at]).toFixed(1)},${y(up(value)).toFixed(1)}`);
      open = there;
    });
    const points = dots ? line.map((value, at) => s("circle", { class: "dot", cx: x(xs[at]), cy: y(up(value)), r: 2.6 }, s("title", {}, `${of?.[at]?.name ?? name}: ${told(value)}`))) : [];
    return s("g", { class: ink }, s("path", { class: "curve", d: parts.join("") }), points);
  });
  sized(figure, width, height);
  figure.setAttribute("aria-label", title);
  figure.replaceChildren(s("title", {}, title),
    ...marks.map(([value, text]) => s("g", {}, s("line", { class: "rule", x1: pad.left, x2: width - pad.right, y1: y(value), y2: y(value) }), s("text", { class: "axis", x: pad.left - 6, y: y(value), dy: "0.35em", "text-anchor": "end" }, text))),
    ...ticks.filter((value) => value >= left - 1e-9 && value <= right + 1e-9).map((value) => s("text", { class: "axis", x: x(value), y: height - 8, "text-anchor": "middle" }, tick(value))),
    s("line", { class: "zero", x1: pad.left, x2: width - pad.right, y1: height - pad.bottom, y2: height - pad.bottom }),
    ...(rule ? [s("line", { class: "one", x1: pad.left, x2: width - pad.right, y1: y(rule), y2: y(rule) })] : []),
    ...lines, ...(wrapped ? wrapLegend(series, width) : legend));
}

/** A legend too wide for one line: short marks in two rows. @param {any[]} series @param {number} width */
function wrapLegend(series, width) {
  const half = (width - 20) / 2;
  return [...series].reverse().map(([name, ink], at) => {
    const [from, y] = [10 + (at % 2) * half, 6 + Math.floor(at / 2) * 14];
    return s("g", { class: ink }, s("line", { class: "curve", x1: from, x2: from + 12, y1: y, y2: y }), s("text", { x: from + 16, y, dy: "0.35em" }, clipped(name, Math.floor((half - 16) / 6.4))));
  });
}

/** Two differences with their intervals, and the band of chance. @param {SVGElement} figure @param {any} one @param {number} width */
function effectChart(figure, one, width) {
  const rows = [["|cosine|", one.size], ["cosine", one.signed]];
  const most = Math.max(...rows.flatMap(([, effect]) => [Math.abs(effect.low), Math.abs(effect.high), 2 * effect.null])) * 1.1 || 1;
  const [names, tall, told] = [64, 34, 96];
  const x = (value) => names + ((value + most) / (2 * most)) * (width - names - told);
  const height = rows.length * tall + 6;
  sized(figure, width, height);
  figure.setAttribute("aria-label", `Differences: ${rows.map(([name, effect]) => `${name} ${fine(effect.difference)}`).join(", ")}`);
  figure.replaceChildren(s("title", {}, "What occurs together"),
    ...rows.map(([name, effect], at) => {
      const middle = at * tall + tall / 2 + 3;
      const ink = effect.difference < 0 ? "c2" : "c1";
      return s("g", { class: ink },
        s("rect", { class: "band", x: x(-2 * effect.null), y: middle - 12, width: x(2 * effect.null) - x(-2 * effect.null), height: 24 }),
        s("text", { x: names - 8, y: middle, dy: "0.35em", "text-anchor": "end" }, name),
        s("line", { class: "curve", x1: x(effect.low), x2: x(effect.high), y1: middle, y2: middle }),
        s("circle", { class: "dot", cx: x(effect.difference), cy: middle, r: 4.5 }),
        s("text", { x: width, y: middle, dy: "0.35em", "text-anchor": "end" }, `${fine(effect.difference)} (z ${number(effect.z)})`));
    }),
    s("line", { class: "zero", x1: x(0), x2: x(0), y1: 0, y2: height }));
}
