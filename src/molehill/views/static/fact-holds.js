// @ts-check
/**
 * Which facts a vector holds: its dot product with a direction for each concept, beside random
 * directions, and what each direction is worth on vectors that it was not made from.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schema
 * molehill.holds/1, see docs/rooms/facts.md) into `el` and returns its own cleanup. It asks nothing
 * of the network, and every text from the data becomes a text node.
 */

import { Page, clamp, clipped, h, percent, rendering, s, signed, sized, small } from "./kit.js";

const render = rendering(() => View);
export default { render };

const ROW = 28;
const HEAD = 44;

class View extends Page {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.subject = `what ${data.site} holds`;
    this.state = { ...this.state, row: 1 };
    this.notice = this.fromHash();
  }

  build() {
    this.mount(this.head(), this.asked(), this.leadOf(this.data.summary), this.stage(), this.foot());
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.box);
    this.on(document, "keydown", (event) => {
      if (event.key === "?" && !event.target.closest?.("input, select, textarea")) this.dialog.showModal();
    });
    this.resized();
  }

  halt() {
    this.observer?.disconnect();
    clearTimeout(this.spoken);
  }

  takers() {
    return { row: (value) => this.take("row", value, 1, this.data.rows.length) };
  }

  resized() {
    const room = Math.floor(this.box.clientWidth);
    if (room === this.room) return;
    this.room = room;
    this.all();
  }

  all() {
    this.draw();
    this.tell();
    this.syncControls();
    this.writeHash([`row=${this.state.row}`]);
    this.say(() => `${this.row.name}: z ${signed(this.row.z)}, ${this.row.held ? "above" : "below"} its threshold`);
  }

  get row() {
    return this.data.rows[this.state.row - 1];
  }

  head() {
    const { site, method, provenance: made } = this.data;
    const keys = [["Tab", "the next control"], ["↑ ↓", "the concept before or after (picture focused)"], ["Home End", "the first, the last"], ["?", "this list"], ["Esc", "close it"]];
    return h("header", {},
      h("div", {}, h("h1", {}, `What ${site} holds`), h("p", { class: "sub" }, `${method} · ${made.model}, ${made.dtype}`)),
      h("div", { class: "tools" }, this.themeSwitch(), this.helpOf(keys, "The address holds what you see: copy it to come back.")));
  }

  /** The text, with the token whose vector is asked about. */
  asked() {
    const { pieces, at } = this.data;
    const spaced = pieces.some((piece) => piece.startsWith("·"));
    const words = pieces.map((piece, place) => {
      const word = piece.replace(/^·/, "") || piece;
      const space = place > 0 && (!spaced || piece.startsWith("·")) ? " " : "";
      return [space, place === at ? h("mark", { class: "c1" }, word) : word];
    });
    return h("p", { class: "read", dir: "auto" }, words);
  }

  stage() {
    this.chart = s("svg", { class: "chart", role: "img", tabindex: 0, "aria-keyshortcuts": "ArrowUp ArrowDown Home End" });
    this.box = h("div", { class: "frame tall" }, this.chart);
    this.side = h("section", { class: "side", "aria-label": "The concept that is read" });
    this.on(this.chart, "keydown", (event) => this.key(event));
    this.on(this.chart, "click", (event) => {
      const number = event.target.closest?.("[data-row]")?.dataset.row;
      if (number) this.change({ row: Number(number) });
    });
    const { draws, texts } = this.data;
    return h("section", { class: "stage" },
      h("div", { class: "picture" },
        h("div", { class: "controls" }, h("h2", {}, "Concepts, by how much it holds"), this.exports("concepts", () => this.chart, () => this.cells())),
        this.box,
        h("p", { class: "caption" }, `Left: the dot product in standard deviations of ${draws.toLocaleString("en")} random directions; the band is two of them to both sides. A full dot lies above its direction's threshold, a ring below. Right: how many held-out vectors the direction tells; the bar across is the 95th percentile with labels shuffled, and what does not pass it is faint. Directions are made from ${texts.toLocaleString("en")} texts.`),
        this.details("As a table", () => this.cells())),
      this.side);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const last = this.data.rows.length;
    const to = { ArrowDown: this.state.row + 1, ArrowRight: this.state.row + 1, ArrowUp: this.state.row - 1, ArrowLeft: this.state.row - 1, Home: 1, End: last }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.change({ row: clamp(to, 1, last) });
    const y = HEAD + (this.state.row - 1) * ROW;
    this.box.scrollTop = clamp(this.box.scrollTop, y + ROW - this.box.clientHeight, y - HEAD);
  }

  cells() {
    return [["concept", "z", "product", "cosine", "above threshold", "above random", "above others", "texts so", "texts not so", "held out", "shuffled mean", "shuffled 95"],
      ...this.data.rows.map((row) => [row.name, row.z, row.product, row.cosine, row.above, row.quantile, row.among, ...row.counts, row.control.accuracy, row.control.shuffled_mean, row.control.shuffled_95])];
  }

  draw() {
    const { rows } = this.data;
    const width = Math.max(220, Math.floor(this.box.clientWidth));
    const names = clamp(Math.round(width * 0.28), 80, 190);
    const worth = clamp(Math.round(width * 0.2), 60, 150);
    const scores = rows.map((row) => row.z ?? 0);
    const [low, high] = [Math.min(-2.4, ...scores), Math.max(2.4, ...scores)];
    const [from, to] = [names + 8, width - worth - 24];
    const x = (z) => from + ((z - low) / (high - low)) * (to - from);
    const share = (value) => width - worth + clamp((value - 0.4) / 0.6, 0, 1) * (worth - 6);
    const height = HEAD + rows.length * ROW + 22;
    const floor = height - 22;
    const body = rows.map((row, index) => {
      const y = HEAD + index * ROW + ROW / 2;
      const { control } = row;
      return s("g", { class: `concept${row.held ? " held" : ""}${control.tells ? "" : " weak"}`, "data-row": index + 1 },
        s("rect", { class: "ground", x: 0, y: y - ROW / 2, width, height: ROW }),
        index + 1 === this.state.row ? s("rect", { class: "chosen", x: 0.75, y: y - ROW / 2 + 1, width: width - 1.5, height: ROW - 2, rx: 4 }) : "",
        s("title", {}, `${row.name}: z ${signed(row.z)}, held out ${percent(control.accuracy)}, shuffled ${percent(control.shuffled_95)}`),
        s("text", { class: "name", x: names, y, dy: "0.35em", "text-anchor": "end" }, clipped(row.name, Math.floor((names - 6) / 6.8))),
        s("line", { class: "stem", x1: x(0), x2: x(row.z ?? 0), y1: y, y2: y }),
        s("circle", { class: "dot", cx: x(row.z ?? 0), cy: y, r: 5 }),
        s("rect", { class: "worth", x: share(0), y: y - 4, width: Math.max(1, share(control.accuracy ?? 0) - share(0)), height: 8, rx: 2 }),
        s("line", { class: "limit", x1: share(control.shuffled_95 ?? 0), x2: share(control.shuffled_95 ?? 0), y1: y - 8, y2: y + 8 }));
    });
    const told = (value, place, anchor = "middle") => s("text", { class: "axis", x: place, y: floor + 16, "text-anchor": anchor }, value);
    sized(this.chart, width, height);
    this.chart.setAttribute("aria-label", `${rows.length} concepts by z; chosen: ${this.row.name}, ${signed(this.row.z)}`);
    this.chart.replaceChildren(s("title", {}, "Concepts, by how much the vector holds"),
      s("rect", { class: "band", x: x(-2), y: HEAD - 4, width: x(2) - x(-2), height: floor - HEAD + 4 }),
      s("line", { class: "zero", x1: x(0), x2: x(0), y1: HEAD - 4, y2: floor }),
      s("line", { class: "half", x1: share(0.5), x2: share(0.5), y1: HEAD - 4, y2: floor }),
      ...body,
      s("text", { class: "axis", x: x(0), y: 14, "text-anchor": "middle" }, "z"), s("text", { class: "axis", x: x(0), y: 30, "text-anchor": "middle" }, "random: ±2"),
      s("text", { class: "axis", x: width - 6, y: 14, "text-anchor": "end" }, "held out"),
      told(signed(Math.round(low)).replace(/\.0+$/, ""), x(Math.max(low, Math.round(low))), "start"), told("0", x(0)), told(signed(Math.floor(high)).replace(/\.0+$/, ""), x(Math.floor(high))),
      told("50%", share(0.5)), told("100%", width - 6, "end"));
  }

  tell() {
    const { row } = this;
    const { control, counts } = row;
    const list = (pairs) => h("dl", { class: "made" }, pairs.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
    this.side.replaceChildren(
      h("h2", { dir: "auto" }, row.name, h("span", { class: "state" }, row.held ? " above its threshold" : " below its threshold")),
      list([["z", signed(row.z)], ["dot product", signed(row.product)], ["cosine", signed(row.cosine)], ["above threshold by", signed(row.above)],
        ["random directions below", percent(row.quantile)], ...(row.among === null ? [] : [["other vectors below", percent(row.among)]])]),
      h("h3", {}, "What the direction is worth"),
      list([["made from", `${counts[0]} texts against ${counts[1]}`], ["tells of those held out", percent(control.accuracy)], ["fold by fold", control.folds.map(percent).join(", ")],
        [`labels shuffled ${control.shuffles} times`, `${percent(control.shuffled_mean)} on average, 95th percentile ${percent(control.shuffled_95)}`]]),
      control.tells ? "" : small("It does not pass what shuffled labels reach: what it says of this vector is nothing."));
  }

  foot() {
    return this.footOf(this.data.notes, "holds");
  }

  /** @param {number} room */
  signature(room) {
    return [{ text: clipped(`${this.data.text} · ${this.data.site}, ${this.data.method}`, room) }, ...super.signature(room)];
  }
}
