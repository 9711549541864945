// @ts-check
/**
 * A fact's card: is it known, what carries it, what writes it, and what is lost without that.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schema
 * molehill.fact-card/1, see docs/rooms/facts.md) into `el` and returns its own cleanup. It asks
 * nothing of the network, and every text from the data becomes a text node.
 */

import {
  clamp, clipped, h, minus, number, percent, quoted, rendering, s, shown, signed, sized, small,
  ticks,
} from "./kit.js";
import { FactPage } from "./facts-live.js";

const render = rendering(() => View);
export default { render };

const ROW = 20;
const TALL = 24;
const LISTS = [["heads", "Heads at the last token"], ["neurons", "Neurons at the last token"], ["subject_neurons", "Neurons at the subject"]];
const TITLES = { state: "state", mlp: "MLP", attention: "attention" };

/** A probability with two digits that tell. @param {number | null | undefined} value */
function amount(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "not finite";
  const size = Math.abs(value);
  const digits = [2, 3, 4].find((count) => size >= 0.995 * 10 ** (1 - count));
  const told = size === 0 ? "0" : digits ? size.toFixed(digits) : size.toExponential(1).replace("e-", "e−");
  return value < 0 ? `−${told}` : told;
}

class View extends FactPage {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.subject = `${data.subject} ${data.object}`;
    this.listed = LISTS.flatMap(([name]) => data[name]);
    this.notice = this.fromHash();
  }

  build() {
    const lost = this.listed.length ? [this.alone(), this.together()] : [];
    this.mount(this.head(), this.asked(), this.leadOf(this.data.summary), this.stage(), ...lost, this.onward(), this.footOf(this.data.notes, "card"));
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.root);
    this.on(document, "keydown", (event) => {
      if (event.key === "?" && !event.target.closest?.("input, select, textarea")) this.dialog.showModal();
    });
    this.resized();
  }

  halt() {
    this.observer?.disconnect();
    clearTimeout(this.spoken);
  }

  onward() {
    const { prompt, subject, object } = this.data;
    return this.goingOn({ prompt, subject, object });
  }

  resized() {
    const room = Math.floor(this.root.clientWidth);
    if (room === this.room) return;
    this.room = room;
    this.all();
  }

  all() {
    if (this.maps) this.drawMaps();
    if (this.listed.length) {
      const groups = LISTS.filter(([name]) => this.data[name].length).map(([name, title]) => [title, this.data[name]]);
      this.drawLosses(this.losses, groups, "What is lost without each part");
      this.drawLosses(this.sums, [["All at once", this.data.groups]], "What is lost without all of them");
    }
    this.syncControls();
    this.writeHash([]);
  }

  head() {
    const made = this.data.provenance;
    const keys = [["Tab", "the next control or table"], ["?", "this list"], ["Esc", "close it"]];
    return h("header", {},
      h("div", {}, h("h1", { dir: "auto" }, clipped(`${this.data.subject} → ${this.data.object}`, 80)),
        h("p", { class: "sub" }, `a fact's card · ${made.model}, ${made.dtype}`)),
      h("div", { class: "tools" }, this.themeSwitch(), this.helpOf(keys, "The address holds the theme.")));
  }

  /** A cell of a map opens the ledger of its vector. @param {MouseEvent} event */
  clicked(event) {
    const around = this.maps.getBoundingClientRect();
    const [x, y] = [event.clientX - around.left, event.clientY - around.top];
    const { layers } = this.data.trace;
    const found = this.corners.find((one) => x >= one.x && x < one.x + one.wide * layers && y >= one.y && y < one.y + ROW * one.rows);
    if (found) this.openVector(this.data.prompt, this.first + Math.floor((y - found.y) / ROW), Math.floor((x - found.x) / found.wide));
  }

  /** The prompt, its subject marked. */
  asked() {
    const { rows } = this.data;
    const spaced = rows.some((row) => row.name.startsWith("·"));
    const words = rows.map((row, place) => {
      const word = row.name.replace(/^·/, "") || row.name;
      const space = place > 0 && (!spaced || row.name.startsWith("·")) ? " " : "";
      return [space, row.subject ? h("mark", { class: "c1" }, word) : word];
    });
    return h("p", { class: "read", dir: "auto" }, words, h("span", { class: "answer" }, " → ", this.data.object));
  }

  // --- known, and carried by what ----------------------------------------------------------------

  stage() {
    const known = h("section", { "aria-label": "Is it known" }, h("h2", {}, "Is it known"), h("ul", { class: "wordings" }, this.data.asked.map((one) => this.wording(one))));
    if (!this.data.trace) return h("section", { class: "stage" }, h("div", { class: "picture" }, known), h("div", { class: "side" }, this.parts()));
    this.maps = s("svg", { class: `maps${this.opens ? " opens" : ""}`, role: "img" });
    if (this.opens) this.on(this.maps, "click", (event) => this.clicked(event));
    const { clean, corrupted, corruption } = this.data.trace;
    const hidden = this.first ? ` The ${this.first} tokens before the subject have no effect and are not drawn.` : "";
    return h("section", { class: "stage" },
      h("div", { class: "picture" },
        h("div", { class: "controls" }, h("h2", {}, "What carries it"), this.exports("trace", () => this.maps, () => this.cells())),
        h("div", { class: "frame" }, this.maps),
        h("p", { class: "caption" }, `The subject was corrupted (${corruption}), which takes the probability from ${amount(clean)} to ${amount(corrupted)}. The stronger the blue, the more of it comes back when one place is restored; orange: less than nothing. Across: layers. A ring is a map's largest effect.${hidden} ${this.opens ? "Click a cell for the ledger of its vector." : "molehill facts trace shows it cell by cell."}`),
        this.details("Where most comes back", () => this.carriers()), this.parts()),
      h("div", { class: "side" }, known));
  }

  /** @param {any} one */
  wording(one) {
    const bar = (value, back) => {
      const drawn = h("span", { class: back ? "bar back" : "bar" });
      drawn.style.width = `${100 * clamp(value ?? 0, 0, 1)}%`;
      return h("span", { class: "track" }, drawn);
    };
    const other = one.next && !one.greedy && one.rank > 0
      ? [h("small", {}, `instead: ${quoted(one.next.piece)} ${amount(one.next.probability)}`), bar(one.next.probability, true)] : [];
    return h("li", {},
      h("q", { dir: "auto" }, one.prompt), h("small", {}, `${quoted(this.data.object)} ${amount(one.probability)}, rank ${one.rank + 1}${one.greedy ? ": it says so" : ""}`),
      bar(one.probability, false), ...other,
      one.said === null ? "" : h("small", { dir: "auto" }, ...(one.said.trim() ? ["goes on: ", h("i", {}, one.said.trim())] : ["ends there"])));
  }

  /** The score's parts by kind, and what is against it. */
  parts() {
    if (this.data.score === null) return "";
    const rows = () => [["part", "value"], ...this.data.components.map((one) => [one.name, one.value])];
    const against = this.data.against.map((one) => h("li", {}, one.label, h("i", {}, signed(one.toward))));
    return h("section", { class: "score", "aria-label": "Its score" },
      h("h2", {}, "Its score at the last token"),
      h("dl", { class: "figures" }, [["score", number(this.data.score)], ["closing error", minus(Number(this.data.closing_error ?? NaN).toExponential(0))]].map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
      h("h3", {}, "Most against it"), h("ul", { class: "words" }, against), this.details("The score by layer", rows));
  }

  /** Before it no token has an effect. */
  get first() {
    const maps = Object.values(this.data.trace.kinds);
    const found = this.data.rows.findIndex((_, row) => maps.some((one) => one.effects.some((line) => line[row] !== 0)));
    return Math.max(0, found);
  }

  carriers() {
    return [["restored", "token", "layer", "layers together", "brings back", "of the total"], ...this.data.carriers.map((one) =>
      [TITLES[one.kind], shown(one.piece), one.layer, one.window, amount(one.effect), one.share === null ? "" : percent(one.share)])];
  }

  /** One line per cell, for a spreadsheet. */
  cells() {
    return [["restored", "layer", "row", "name", "effect"], ...Object.entries(this.data.trace.kinds).flatMap(([name, one]) =>
      one.effects.flatMap((line, layer) => line.map((effect, row) => [TITLES[name], layer, row, this.data.rows[row].name, effect])))];
  }

  drawMaps() {
    const { kinds, layers } = this.data.trace;
    const maps = Object.entries(kinds);
    const rows = this.data.rows.slice(this.first);
    const width = this.widthOf(this.maps);
    const letters = Math.max(...rows.map((row) => [...shown(row.name)].length));
    const left = clamp(letters * 7 + 22, 44, Math.min(130, width * 0.3));
    const [gap, top, foot] = [14, 24, 20];
    const across = width - left < 3 * 90 ? 1 : maps.length;
    const wide = (width - left - gap * (across - 1)) / across / layers;
    const tall = top + ROW * rows.length + foot;
    const cells = maps.flatMap(([, one]) => one.effects.flat()).map((value) => Math.abs(value ?? 0));
    const scale = Math.max(...cells) || 1;
    const every = [1, 2, 5, 10, 20, 50, 100].find((step) => step * wide >= 24) ?? 100;
    this.corners = [];
    const drawn = maps.map(([name, one], index) => {
      const x = left + (index % across) * (wide * layers + gap);
      const y = Math.floor(index / across) * tall + top;
      this.corners[index] = { x, y, wide, rows: rows.length };
      const grounds = rows.map((_, row) => s("rect", { class: "ground", x, y: y + row * ROW + 0.5, width: wide * layers, height: ROW - 1 }));
      const filled = one.effects.map((line, layer) => line.slice(this.first).map((value, row) => (value
        ? s("rect", { class: `cell ${value < 0 ? "less" : "more"}`, x: x + layer * wide, y: y + row * ROW + 0.5, width: wide, height: ROW - 1, "fill-opacity": Math.min(1, Math.abs(value) / scale).toFixed(3) },
          s("title", {}, `${TITLES[name]}, layer ${layer}, ${shown(rows[row].name)}: ${amount(value)}`)) : null)));
      const peak = one.peak && one.peak.row >= this.first && one.peak.effect > 0
        ? s("circle", { class: "ring", cx: x + (one.peak.layer + 0.5) * wide, cy: y + (one.peak.row - this.first + 0.5) * ROW, r: clamp(wide * 0.3, 2, 3.5) }) : null;
      const marks = Array.from({ length: Math.ceil(layers / every) }, (_, at) => s("text", { class: "axis", x: x + (at * every + 0.5) * wide, y: y + rows.length * ROW + 13, "text-anchor": "middle" }, String(at * every)));
      const title = one.window > 1 ? `${TITLES[name]}, ${one.window} layers` : TITLES[name];
      const names = index % across ? [] : rows.map((row, place) => s("text", { class: row.subject ? "of-subject" : "axis", x: left - 8, y: y + (place + 0.5) * ROW, dy: "0.35em", "text-anchor": "end" }, `${clipped(shown(row.name), Math.floor((left - 20) / 7))}${row.subject ? " *" : ""}`));
      return s("g", {}, names, s("text", { class: "name", x, y: y - 8 }, clipped(title, Math.floor((wide * layers) / 6.6))), grounds, filled, peak, marks);
    });
    sized(this.maps, width, Math.ceil(maps.length / across) * tall + 4);
    this.maps.setAttribute("aria-label", `What restoring brings back, by layer and token: ${maps.map(([name, one]) => `${TITLES[name]} most ${amount(one.peak?.effect)} at layer ${one.peak?.layer}`).join(", ")}`);
    this.maps.replaceChildren(s("title", {}, "What restoring brings back"), ...drawn);
  }

  // --- what is lost -------------------------------------------------------------------------------

  alone() {
    this.losses = s("svg", { class: "losses", role: "img" });
    return h("section", { class: "why" },
      h("div", { class: "controls" }, h("h2", {}, "What writes it, and what is lost without each"), this.exports("parts", () => this.losses, () => this.rows())),
      h("div", { class: "frame" }, this.losses),
      h("p", { class: "caption" }, "Names with what each adds to the score of the object's first token, or, at the subject, how long a vector it adds. The point: how the object's log probability changes, in nats, when this part alone is switched off; a ring where the object becomes likelier. The band: random parts of the same layer, with their mean. At the right: the probability that is left."),
      this.details("As a table", () => this.rows()));
  }

  together() {
    this.sums = s("svg", { class: "losses", role: "img" });
    const control = (one) => (one.control ? [one.control.parts, one.control.mean, one.control.low, one.control.high] : ["", "", "", ""]);
    const rows = () => [["switched off", "parts", "change", "left", "random parts", "mean", "low", "high"], ...this.data.groups.map((one) => [one.title, one.parts, one.log_probability, one.left, ...control(one)])];
    return h("section", { class: "why" },
      h("div", { class: "controls" }, h("h2", {}, "Switched off together"), this.exports("together", () => this.sums, rows)),
      h("div", { class: "frame" }, this.sums),
      small(`Without any of this the object has the probability ${amount(this.data.probability)}. Bands: as many random parts of the same layers, where there are so many.`),
      this.details("As a table", rows));
  }

  rows() {
    const heads = ["list", "part", "from", "adds", "share", "length", "change", "left", "random mean", "random low", "random high", "random draws"];
    return [heads, ...LISTS.flatMap(([name, title]) => this.data[name].map((one) => [
      title, one.label, one.source_piece === null ? "" : shown(one.source_piece), one.toward, one.share, one.size, one.log_probability, one.left,
      one.control?.mean ?? "", one.control?.low ?? "", one.control?.high ?? "", one.control?.draws ?? ""]))];
  }

  /** What a part adds, in few letters. @param {any} one */
  told(one) {
    if (one.parts !== undefined) return `${one.parts}`;
    if (one.toward === null) return number(one.size);
    return signed(one.toward);
  }

  /**
   * Parts with the change that each makes when it is switched off, over what random ones make.
   * @param {SVGElement} figure @param {any[]} groups @param {string} title
   */
  drawLosses(figure, groups, title) {
    const width = this.widthOf(figure);
    const every = groups.flatMap(([, parts]) => parts);
    const ends = every.flatMap((one) => [one.log_probability ?? 0, one.control?.low ?? 0, one.control?.high ?? 0]);
    const [low, high] = [Math.min(0, ...ends), Math.max(0, ...ends)];
    const names = Math.min(224, Math.round(width * 0.4));
    const values = 54;
    const room = width - names - values - 16;
    const x = (value) => names + 8 + ((value - low) / (high - low || 1)) * room;
    let y = 4;
    const drawn = [];
    for (const [heading, parts] of groups) {
      y += 16;
      const unit = parts[0].parts !== undefined ? "parts" : parts[0].toward === null ? "length" : "adds";
      drawn.push(s("text", { class: "name", x: 0, y }, clipped(names < 160 ? heading.replace(/ at the last token$/, "").replace(/^Neurons at the s/, "S") : heading, Math.floor((names - 44) / 6.4))), s("text", { class: "axis", x: names - 4, y, "text-anchor": "end" }, unit), s("text", { class: "axis", x: width, y, "text-anchor": "end" }, "left"));
      for (const one of parts) {
        drawn.push(this.loss(one, x, y + 4, names, width));
        y += TALL;
      }
      y += 12;
    }
    const step = ticks(Math.max(high - low, 1e-9), room > 400 ? 6 : 3)[1] ?? 1;
    const first = Math.ceil(low / step - 1e-9);
    const marks = Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, at) => (first + at) * step);
    const rules = marks.map((value) => [s("line", { class: value ? "rule" : "zero", x1: x(value), x2: x(value), y1: 4, y2: y }),
      s("text", { class: "axis", x: x(value), y: y + 16, "text-anchor": "middle" }, minus(String(Number(value.toPrecision(3)))))]);
    sized(figure, width, y + 22);
    figure.setAttribute("aria-label", `${title}: ${every.slice(0, 12).map((one) => `${one.title ?? one.label} ${signed(one.log_probability)}`).join(", ")}`);
    figure.replaceChildren(s("title", {}, title), ...rules.flat(), ...drawn);
  }

  /** @param {any} one @param {(value: number) => number} x @param {number} y @param {number} names @param {number} width */
  loss(one, x, y, names, width) {
    const middle = y + TALL / 2;
    const change = one.log_probability;
    const added = this.told(one);
    const letters = Math.floor((names - 7 * added.length - 16) / 6.4);
    const source = one.source_piece ? ` ← ${shown(one.source_piece)}` : "";
    const full = one.title ?? `${one.label}${source}`;
    // Where there is little room the heading says what kind of part it is.
    const name = names < 160 ? full.replace(/^(head|neuron|all) /, "").replace(/ listed$/, "") : full;
    const marks = one.control ? [
      s("rect", { class: "band", x: x(one.control.low) - 1, y: middle - 6, width: Math.max(2, x(one.control.high) - x(one.control.low) + 2), height: 12, rx: 2 }),
      s("line", { class: "mean", x1: x(one.control.mean), x2: x(one.control.mean), y1: middle - 6, y2: middle + 6 })] : [];
    const point = change === null ? [] : [
      s("line", { class: change < 0 ? "stem lost" : "stem gained", x1: x(0), x2: x(change), y1: middle, y2: middle }),
      s("circle", { class: change < 0 ? "lost" : "gained", cx: x(change), cy: middle, r: 4 })];
    const beside = one.control ? `; random ones ${signed(one.control.mean)} (${signed(one.control.low)} to ${signed(one.control.high)})` : "";
    return s("g", {}, s("title", {}, `${full}: ${signed(change)}${beside}`),
      s("text", { x: 0, y: middle, dy: "0.35em" }, clipped(name, Math.max(6, letters))),
      s("text", { class: "axis", x: names - 4, y: middle, dy: "0.35em", "text-anchor": "end" }, added),
      ...marks, ...point,
      s("text", { x: width, y: middle, dy: "0.35em", "text-anchor": "end" }, amount(one.left)));
  }

  /** @param {Element} figure */
  widthOf(figure) {
    return Math.max(220, Math.floor(figure.parentElement?.clientWidth ?? 0));
  }

  /** @param {number} room */
  signature(room) {
    return [{ text: clipped(`${this.data.prompt} → ${this.data.object}`, room) }, ...super.signature(room)];
  }
}
