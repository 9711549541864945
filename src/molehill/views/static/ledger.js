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
  Page, barChart, clipped, csv, download, h, number, percent, quoted, rendering, rowCells, rowTable, s,
  scientific, sentenceCase, shaded, shown, signed, sized, small, ticks,
} from "./kit.js";

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
    this.state = { ...this.state, by: data.features ? "feature" : "component", kind: "all" };
    this.notice = this.fromHash();
  }

  build() {
    const parts = [this.head(), this.leadOf(this.data.summary), this.stage(), this.sums(), this.single(), this.foot()];
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
    };
  }

  all() {
    this.drawSums();
    this.drawRows();
    this.syncControls();
    this.writeHash([`by=${this.state.by}`, `kind=${this.state.kind}`]);
    this.say(() => `By ${EVERY_AXIS[this.state.by]}: ${this.group.entries.slice(0, 3).map((one) => `${one.name} ${signed(one.value)}`).join(", ")}.`);
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
    const help = this.helpOf([[`1 … ${Object.keys(this.axes).length}`, "what the rows are added up by"], ["?", "this list"], ["Esc", "close it"]], "The address holds what you see: copy it to come back.");
    const of = this.scored ? `what gives ${quoted(this.data.read.piece)} its score after ${quoted(this.data.token.surface)}` : `what ${quoted(this.data.token.surface)} is made of ${this.data.point.after}`;
    return h("header", {},
      h("div", {}, h("h1", { dir: "auto" }, clipped(shown(this.data.token.surface), 60)), h("p", { class: "sub", dir: "auto" }, `${of} · ${made.model}, ${made.dtype}`)),
      h("div", { class: "tools" }, this.themeSwitch(), help));
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
    return h("section", { class: "stage" },
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
      h("div", { class: "scroll choices" }, this.segments("by", "Added up by", this.axes)),
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
    this.table.replaceChildren(rowTable(this.rows));
    const left = this.data.rows_left.filter((one) => one.count > one.shown).map((one) => `${(one.count - one.shown).toLocaleString("en")} more of kind ${one.kind}, together ${signed(one.rest)}`);
    this.left.textContent = `${left.length ? `Not in the list: ${left.join("; ")}. ` : ""}A row's value is its length times its cosine with the direction, times that direction's length.`;
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
