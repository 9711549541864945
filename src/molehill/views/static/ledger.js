// @ts-check
/**
 * A vector, or a next word's score, as the sum that it is: layer by layer, by any kind of part, and
 * the largest single rows.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schema
 * molehill.ledger/1, see docs/howto/ledger.md) into `el` and returns its own cleanup. It asks
 * nothing of the network, and every text from the data becomes a text node.
 */

import {
  Page, barChart, clipped, csv, download, h, number, percent, quoted, rendering, rowCells, s, scientific,
  sentenceCase, shaded, shown, signed, sized, small, ticks,
} from "./kit.js";
import { RIVERS, River } from "./ledger-river.js";

const render = rendering(() => View);
export default { render };

const EVERY_AXIS = { component: "component", head: "head", source: "source word", neuron: "neuron", layer: "layer", kind: "kind", feature: "feature" };
const EVERY_KIND = { all: "all", head: "heads", neuron: "neurons", feature: "features", other: "others" };
/** Bars that are drawn; the table has all that are named. */
const BARS = 20;
/** Colour classes of what a layer adds; all else is one of the others. */
const COLOURS = { attention: "c1", MLPs: "c5", features: "c2", biases: "c8", embedding: "c3", position: "c6", "token type": "c4" };

class View extends Page {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.subject = `${data.token.surface} ${data.read.piece ?? ""}`;
    this.scored = data.read.what === "score";
    this.axes = Object.fromEntries(Object.entries(EVERY_AXIS).filter(([axis]) => data.groups[axis]));
    this.kinds = Object.fromEntries(Object.entries(EVERY_KIND).filter(([kind]) => kind !== "feature" || data.features));
    this.usual = data.features ? "feature" : "component";
    this.state = { ...this.state, by: this.usual, kind: "all", river: "words", node: null };
    this.river = new River(this, (node) => this.openers(node));
    this.notice = this.fromHash();
  }

  build() {
    const parts = [this.head(), this.closing(), this.chooser(), this.leadOf(this.data.summary), this.river.section(), this.stage(), this.sums(), this.single(), this.foot()];
    this.mount(...parts);
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.layers.parentElement);
    this.on(document, "keydown", (event) => this.key(event));
    this.resized();
  }

  halt() {
    this.observer?.disconnect();
    clearTimeout(this.spoken);
  }

  takers() {
    return {
      by: (value) => Object.hasOwn(this.axes, value) && this.set("by", value),
      kind: (value) => Object.hasOwn(this.kinds, value) && this.set("kind", value),
      river: (value) => Object.hasOwn(RIVERS, value) && this.set("river", value),
      node: (value) => this.take("node", value, 0, 10_000),
    };
  }

  /** A change of level starts at no node: nodes have other numbers there. @param {Record<string, any>} change */
  change(change) {
    super.change(change.river && change.river !== this.state.river ? { node: null, ...change } : change);
  }

  all() {
    if (this.drawn !== this.state.river) this.river.draw();
    else this.river.light();
    this.drawn = this.state.river;
    this.drawSums();
    this.drawRows();
    this.syncControls();
    const { by, kind, river } = this.state;
    this.writeHash([...(by === this.usual ? [] : [`by=${by}`]), `kind=${kind}`, `river=${river}`, ...(this.river.chosen === null ? [] : [`node=${this.river.chosen}`])]);
    this.say(() => this.river.spoken() || `By ${EVERY_AXIS[this.state.by]}: ${this.group.entries.slice(0, 3).map((one) => `${one.name} ${signed(one.value)}`).join(", ")}.`);
  }

  get group() {
    return this.data.groups[this.state.by];
  }

  /** What is taken apart, in words. */
  get what() {
    return this.scored ? `the score of ${quoted(this.data.read.piece)}` : "the length of the vector";
  }

  head() {
    const made = this.data.provenance;
    const help = this.helpOf([[`1 … ${Object.keys(this.axes).length}`, "what the rows are added up by"], ["← → ↑ ↓", "another band (river focused)"], ["Enter", "open what the band is"], ["?", "this list"], ["Esc", "close it, or let the band go"]], "The address holds what you see: copy it to come back.");
    const of = this.scored ? `what gives ${quoted(this.data.read.piece)} its score after ${quoted(this.data.token.surface)}` : `what ${quoted(this.data.token.surface)} is made of ${this.data.point.after}`;
    return h("header", {},
      h("div", {}, h("h1", { dir: "auto" }, clipped(shown(this.data.token.surface), 60)), h("p", { class: "sub", dir: "auto" }, `${of} · ${made.model}, ${made.dtype}`)),
      h("div", { class: "tools" }, this.themeSwitch(), help));
  }

  // --- the sum, and what is asked ------------------------------------------------------------------

  /** The sum with its closing error: in sight wherever the page stands. */
  closing() {
    const { read, closing_error: error, rows_count: rows } = this.data;
    const figures = [
      [`${rows.toLocaleString("en")} rows add up to`, number(read.total)],
      ["the model computed", number(read.measured)],
      ["closing error", scientific(read.closing_error)],
      ["of the whole vector", scientific(error.relative)],
    ];
    return h("dl", { class: "closing", "aria-label": "The sum and its closing error" }, figures.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
  }

  /** What can be asked instead, where somebody answers. */
  chooser() {
    const asked = this.data.asked?.inputs;
    if (!this.asks || !asked) return "";
    const { pieces, token, points } = this.data;
    const at = token.positions.at(-1);
    const tokens = pieces.map((piece, position) => this.button(shown(piece), () => this.again({ position }), { class: position === at ? "piece chosen" : "piece", "aria-pressed": String(position === at), "aria-label": `Token ${position}, ${shown(piece)}`, tabindex: position === at ? 0 : -1 }));
    const row = h("div", { class: "pieces", role: "group", dir: "auto", "aria-label": "Take another token apart" }, tokens);
    this.on(row, "keydown", (event) => {
      const to = { ArrowLeft: -1, ArrowRight: 1, Home: -1e9, End: 1e9 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      tokens[Math.max(0, Math.min(tokens.length - 1, tokens.indexOf(document.activeElement) + to))].focus();
    });
    this.status = h("p", { class: "small", role: "status" });
    // A model whose blocks end in their norm has no point after its last one.
    const reached = points.findIndex((one) => one.name === (asked.at === "final" ? points.at(-1)?.name : asked.at));
    const end = points.at(-1)?.name === "final" ? {} : { final: "At the end" };
    const named = (list) => Object.fromEntries(list.map((one) => [one.name, sentenceCase(one.after)]));
    const features = (this.model.get("catalogue")?.features ?? []).filter((one) => !one.model || one.model === this.data.provenance.model);
    return h("section", { class: "ask", "aria-label": "What is asked" }, row,
      h("div", { class: "fields" },
        this.toward(asked),
        this.choice("Vector", asked.at, { ...named(points), ...end }, (value) => ({ at: value, between: null, ...(value === "final" ? {} : { toward: null }) })),
        this.choice("Gathered up to", asked.between ?? "", { "": "nothing gathered", ...named(points.slice(0, reached)) }, (value) => ({ between: value || null })),
        features.length ? this.choice("Basis", asked.features ?? "", { "": "heads and neurons", ...Object.fromEntries(features.map((one) => [one.name, `features of ${one.name}`])) }, (value) => ({ features: value || null })) : ""),
      this.status);
  }

  /** The next word whose score is taken apart. @param {any} asked */
  toward(asked) {
    const id = `${this.river.id}-next`;
    const field = /** @type {HTMLInputElement} */ (h("input", { type: "text", value: asked.toward ?? "", placeholder: "the vector’s length", list: id, maxlength: 100, autocomplete: "off", spellcheck: "false" }));
    const ask = () => field.value.trim() !== (asked.toward ?? "") && this.again({ toward: field.value.trim() || null, ...(field.value.trim() ? { at: "final" } : {}) });
    this.on(field, "change", ask);
    this.on(field, "keydown", (event) => event.key === "Enter" && ask());
    return h("label", {}, h("span", {}, "Score of the next word"), field, h("datalist", { id }, this.data.next.map((near) => h("option", { value: near.piece.replace(/^·/, "") }))));
  }

  /** @param {string} label @param {string} value @param {Record<string, string>} options @param {(value: string) => Record<string, any>} change */
  choice(label, value, options, change) {
    const made = /** @type {HTMLSelectElement} */ (h("select", {}, Object.entries(options).map(([name, text]) => h("option", { value: name, selected: name === value }, text))));
    this.on(made, "change", () => this.again(change(made.value)));
    return h("label", {}, h("span", {}, label), made);
  }

  /** The same question with something changed: by the host, so that its address has it, or in place. @param {Record<string, any>} change */
  async again(change) {
    const { question, inputs } = this.data.asked;
    const next = { ...inputs, ...change };
    // Another sum has other bands under the same numbers.
    this.change({ node: null });
    if (this.opens) return this.open(question, next);
    this.status.textContent = "Adding up …";
    try {
      this.model.set("data", await this.ask(question, next));
    } catch (error) {
      if (error.name !== "AbortError") this.status.textContent = error.message;
    }
  }

  /** Whether the host has a question to open. @param {string} question */
  offers(question) {
    const known = this.model.get("catalogue")?.questions;
    return this.opens && (!known || known.some((one) => one.name === question));
  }

  /** Buttons that open what a row or a band stands for. @param {any} one */
  openers(one) {
    const { text } = this.data;
    const query = this.data.token.positions.at(-1);
    const made = (question, label, inputs) => (this.offers(question) ? [this.button(label, () => this.open(question, inputs))] : []);
    if (one.head !== undefined) {
      const key = one.source ?? this.data.rows.find((row) => row.layer === one.layer && row.head === one.head)?.source ?? query;
      return [
        ...made("why", `Why head ${one.layer}.${one.head} looked at ${quoted(this.data.pieces[key])}`, { text, query, key, layer: one.layer, head: one.head }),
        ...made("attention", `All of head ${one.layer}.${one.head}`, { text, layer: one.layer, head: one.head }),
      ];
    }
    if (one.neuron !== undefined) return made("neuron", `Read neuron ${one.layer}.${one.neuron}`, { layer: one.layer, neuron: one.neuron });
    if (one.feature !== undefined && this.data.features) return made("features.card", `Card of feature ${one.feature}`, { features: this.data.asked?.inputs.features ?? this.data.features.name, numbers: [one.feature] });
    if (one.source !== undefined && one.source !== query) return made("ledger", `Take ${quoted(this.data.pieces[one.source])} apart`, { text, position: one.source, at: this.data.point.name });
    return [];
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const target = /** @type {Element} */ (event.target);
    if (target.closest?.("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "?") return this.dialog.showModal();
    const axis = Object.keys(this.axes)[Number(event.key) - 1];
    if (axis) this.change({ by: axis });
  }

  // --- layer by layer, and from which words --------------------------------------------------------

  stage() {
    this.layers = s("svg", { class: "layers", role: "img" });
    const names = [...new Set(this.data.layers.flatMap((one) => one.parts.map((part) => part.name)))];
    const { read, token } = this.data;
    const sources = this.data.pieces.map((_, position) => this.data.groups.source.entries.find((entry) => entry.position === position)?.value);
    const brought = sources.some((value) => value !== undefined);
    const figures = [
      [this.scored ? "score" : "length", number(read.measured)],
      ...(this.scored ? [["rank", read.rank === null ? "not finite" : (read.rank + 1).toLocaleString("en")], ["probability", percent(read.probability)]] : []),
      ["rows", this.data.rows_count.toLocaleString("en")],
      ["closing error", scientific(this.data.closing_error.relative)],
    ];
    return h("section", { class: "stage apart" },
      h("div", { class: "picture" },
        h("div", { class: "controls" }, h("h2", {}, "Layer by layer"), this.exports("layers", () => this.layers, () => this.layerRows())),
        h("div", { class: "frame" }, this.layers),
        h("ul", { class: "words" }, names.map((name) => h("li", {}, h("span", { class: `swatch ${COLOURS[name] ?? "c7"}` }), name)), h("li", {}, h("span", { class: "swatch line" }), "their sum so far")),
        h("p", { class: "caption" }, `What each layer adds to ${this.what}; the line is the sum of all up to there and ends at ${number(read.measured)}.`),
        this.details("The picture as a table", () => this.layerRows())),
      h("div", { class: "side" },
        h("h2", {}, "Brought by attention from"),
        brought ? shaded(this.data.pieces, sources, token.positions, signed) : small("No row of this ledger came from another word."),
        h("dl", { class: "figures" }, figures.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
        h("h3", {}, this.data.next[0]?.probability === undefined ? "Nearest tokens, by cosine" : "Next words, if it stopped here"),
        h("ul", { class: "words" }, this.data.next.map((near) => h("li", { dir: "auto" }, shown(near.piece), h("i", {}, near.probability === undefined ? number(near.score) : percent(near.probability)))))));
  }

  resized() {
    const room = Math.max(240, Math.floor(this.layers.parentElement.clientWidth));
    if (room === this.room) return;
    this.room = room;
    this.drawn = undefined;
    this.drawLayers();
    this.all();
  }

  drawLayers() {
    const { layers } = this.data;
    const [width, height] = [this.room, 300];
    const pad = { left: 46, right: 8, top: 12, bottom: 34 };
    let sum = 0;
    const sums = layers.map((one) => (sum += one.parts.reduce((total, part) => total + (part.value ?? 0), 0)));
    const tops = layers.map((one) => one.parts.reduce((total, part) => total + Math.max(0, part.value ?? 0), 0));
    const lows = layers.map((one) => one.parts.reduce((total, part) => total + Math.min(0, part.value ?? 0), 0));
    const high = Math.max(1e-9, ...tops, ...sums);
    const low = Math.min(0, ...lows, ...sums);
    const step = (width - pad.left - pad.right) / layers.length;
    const x = (index) => pad.left + index * step;
    const y = (value) => pad.top + ((high - value) / (high - low)) * (height - pad.top - pad.bottom);
    const rules = ticks(Math.max(high, -low), 5);
    const lines = [...rules, ...rules.slice(1).map((value) => -value)].filter((value) => value >= low && value <= high).map((value) => [
      s("line", { class: "rule", x1: pad.left, x2: width - pad.right, y1: y(value), y2: y(value) }),
      s("text", { class: "axis", x: pad.left - 8, y: y(value), dy: "0.32em", "text-anchor": "end" }, number(value).replace(/\.?0+$/, "") || "0"),
    ]);
    const bars = layers.map((one, index) => {
      let [up, down] = [0, 0];
      const parts = one.parts.map((part) => {
        const value = part.value ?? 0;
        const from = value < 0 ? down : up;
        if (value < 0) down += value;
        else up += value;
        return s("rect", { class: `part ${COLOURS[part.name] ?? "c7"}`, x: x(index) + step * 0.12, width: Math.max(1, step * 0.76), y: Math.min(y(from), y(from + value)), height: Math.max(0.5, Math.abs(y(from) - y(from + value))) });
      });
      const name = one.layer === null ? "start" : `layer ${one.layer}`;
      return s("g", {}, s("title", {}, `${name}: ${one.parts.map((part) => `${part.name} ${signed(part.value)}`).join(", ")}; sum so far ${number(sums[index])}`), parts);
    });
    const every = Math.max(1, Math.ceil(26 / step));
    const marks = layers.map((one, index) => {
      if (one.layer === null ? layers.length > 1 && step < 34 && every > 1 : one.layer % every) return null;
      return s("text", { class: "axis", x: x(index) + step / 2, y: height - pad.bottom + 17, "text-anchor": "middle" }, one.layer === null ? (step > 34 ? "start" : "·") : String(one.layer));
    });
    const line = sums.map((value, index) => `${(x(index) + step / 2).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
    sized(this.layers, width, height);
    this.layers.setAttribute("aria-label", `What each layer adds to ${this.what}`);
    this.layers.replaceChildren(...lines.flat(), ...bars, s("line", { class: "zero", x1: pad.left, x2: width - pad.right, y1: y(0), y2: y(0) }),
      s("polyline", { class: "halo", points: line }), s("polyline", { class: "sofar", points: line }), ...marks.filter(Boolean),
      s("text", { class: "axis", x: (pad.left + width) / 2, y: height - 3, "text-anchor": "middle" }, "layer"));
  }

  layerRows() {
    return [["layer", "part", "value"], ...this.data.layers.flatMap((one) => one.parts.map((part) => [one.layer ?? "start", part.name, part.value]))];
  }

  // --- added up by anything ------------------------------------------------------------------------

  sums() {
    this.bars = s("svg", { class: "sums", role: "img" });
    this.rest = h("p", { class: "caption" });
    return h("section", { class: "why" },
      h("div", { class: "controls" }, h("h2", {}, "Added up by"), this.exports("sums", () => this.bars, () => this.sumRows())),
      h("div", { class: "scroll picks" }, this.segments("by", "Added up by", this.axes)),
      h("div", { class: "frame" }, this.bars), this.rest,
      this.details("All named sums as a table", () => this.sumRows()));
  }

  drawSums() {
    const { entries, rest, rest_count: count } = this.group;
    const drawn = this.state.by === "layer" ? entries : entries.slice(0, BARS);
    barChart(this.bars, drawn, Math.max(240, Math.floor(this.bars.parentElement.clientWidth)), `Sums by ${EVERY_AXIS[this.state.by]}`);
    const left = entries.slice(drawn.length);
    const more = left.length + count;
    const together = rest + left.reduce((sum, entry) => sum + (entry.value ?? 0), 0);
    this.rest.textContent = more ? `Not drawn: ${more.toLocaleString("en")} more, together ${signed(together)}. All bars and these add up to ${number(this.data.read.measured)}.` : `The bars add up to ${number(this.data.read.measured)}.`;
  }

  sumRows() {
    const { entries, rest, rest_count: count } = this.group;
    return [["part", "value", "share"], ...entries.map((one) => [one.name, one.value, one.share]), ...(count ? [[`${count} others`, rest, null]] : [])];
  }

  // --- single rows ---------------------------------------------------------------------------------

  single() {
    this.table = h("div", {});
    this.left = h("p", { class: "caption" });
    const save = this.button("CSV", () => download(`${this.fileName("rows")}.csv`, csv(rowCells(this.rows)), "text/csv"), { class: "quiet", title: "Save rows as CSV" });
    return h("section", { class: "why" },
      h("div", { class: "controls" }, h("h2", {}, "Largest single rows"), save),
      this.segments("kind", "Kind of row", this.kinds), this.table, this.left);
  }

  get rows() {
    const { kind } = this.state;
    return this.data.rows.filter((row) => kind === "all" || row.kind === kind || (kind === "other" && !Object.hasOwn(EVERY_KIND, row.kind)));
  }

  drawRows() {
    this.table.replaceChildren(this.rowTable());
    const left = this.data.rows_left.filter((one) => one.count > one.shown).map((one) => `${(one.count - one.shown).toLocaleString("en")} more of kind ${one.kind}, together ${signed(one.rest)}`);
    this.left.textContent = `${left.length ? `Not in the list: ${left.join("; ")}. ` : ""}A row's value is its length times its cosine with the direction, times that direction's length.`;
  }

  /** The rows that are listed; a click on one that the host can show opens it. */
  rowTable() {
    const heads = ["row", "from", "value", "share", "length", "cosine", "coefficient"];
    const body = this.rows.map((row) => {
      const [opens] = this.openers(row);
      if (opens) {
        opens.title = opens.textContent ?? "";
        opens.className = "quiet";
        opens.replaceChildren(row.name);
      }
      const figures = [signed(row.value), row.share === null ? "" : percent(row.share), number(row.norm), number(row.cosine), number(row.coefficient)];
      const line = h("tr", { class: opens ? "opens" : null }, h("th", { scope: "row" }, opens ?? row.name), h("td", { dir: "auto" }, row.piece === undefined ? "" : shown(row.piece)), figures.map((text) => h("td", { class: "figure" }, text)));
      if (opens) this.on(line, "click", (event) => event.target.closest("button") || opens.click());
      return line;
    });
    const head = h("tr", {}, heads.map((name, index) => h("th", { scope: "col", class: index > 1 ? "figure" : null }, name)));
    return h("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "Largest rows" }, h("table", {}, h("thead", {}, head), h("tbody", {}, body)));
  }

  foot() {
    const { relative, largest } = this.data.closing_error;
    return this.footOf([
      `Closing error ${scientific(relative)}: the distance between the sum of all rows and the vector that the model computed, against that vector's length; ${scientific(largest)} in the worst coordinate.`,
      `${sentenceCase(this.what)}: the rows add up to ${number(this.data.read.total)}, the model computed ${number(this.data.read.measured)}; they differ by ${scientific(this.data.read.closing_error)}.`,
      ...this.data.notes,
    ], "ledger");
  }
}
