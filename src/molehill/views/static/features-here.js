// @ts-check
/**
 * What fires in a text: features by tokens, each token's strongest features, and what they leave
 * unexplained there.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schema
 * molehill.features-here/1, see docs/rooms/views.md) into `el` and returns its own cleanup. It asks
 * nothing of the network, and every text from the data becomes a text node.
 */

import { Page, clamp, clipped, h, number, percent, rendering, s, shown, sized, small } from "./kit.js";

const render = rendering(() => View);
export default { render };

const [ROW, WIDE, ERRORS] = [22, 26, 34];

class View extends Page {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.subject = data.text;
    const first = data.rows[0];
    this.state = { ...this.state, token: first?.at ?? data.tokens.findIndex((token) => token.looked_at), row: 0 };
    this.notice = this.fromHash();
  }

  takers() {
    return {
      token: (value) => this.take("token", value, 0, this.data.tokens.length - 1),
      row: (value) => this.take("row", value, 0, Math.max(0, this.data.rows.length - 1)),
    };
  }

  build() {
    this.figure = s("svg", { class: "grid", tabindex: 0, role: "img", "aria-keyshortcuts": "ArrowLeft ArrowRight ArrowUp ArrowDown" });
    this.box = h("div", { class: "frame" }, this.figure);
    this.side = h("section", { class: "side", "aria-label": "One token and one feature" });
    const keys = [["Tab", "the next control"], ["← → ↑ ↓", "another token, another feature (picture focused)"], ["Home End", "the first token, the last"], ["?", "this list"], ["Esc", "close it"]];
    const { features, provenance: made } = this.data;
    this.mount(
      h("header", {},
        h("div", {}, h("h1", { dir: "auto" }, clipped(this.data.text, 80)),
          h("p", { class: "sub" }, `what fires here · ${features.name}, ${features.count.toLocaleString("en")} features · ${this.data.site} of ${made.model}, ${made.dtype}`)),
        h("div", { class: "tools" }, this.themeSwitch(), this.helpOf(keys, "The address holds what you see: copy it to come back."))),
      this.leadOf(this.data.summary),
      h("section", { class: "stage" },
        h("div", { class: "picture" },
          h("div", { class: "controls" }, h("h2", {}, "Features by token"), this.exports("features", () => this.figure, () => this.cells())),
          this.box,
          h("p", { class: "caption" }, "A row per feature, those that stand out most first; the darker, the nearer to the row's own largest value. Above: the share of each vector's length that features leave out. A dash: a token that the features' training left out."),
          this.details("Values as a table", () => this.cells())),
        this.side),
      this.footOf(this.data.notes, "what-fires-here"));
    this.on(this.figure, "keydown", (event) => this.key(event));
    this.on(this.figure, "click", (event) => this.pick(event));
    this.on(this.box, "scroll", () => this.stick(this.box, this.names));
    this.on(document, "keydown", (event) => {
      if (event.key === "?" && !event.target.closest?.("input, select, textarea")) this.dialog.showModal();
    });
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.box);
    this.all();
  }

  halt() {
    this.observer?.disconnect();
    super.halt();
  }

  resized() {
    const room = Math.floor(this.box.clientWidth);
    if (room === this.room) return;
    this.room = room;
    this.draw();
  }

  all() {
    this.draw();
    this.tell();
    this.syncControls();
    this.writeHash([`token=${this.state.token}`, `row=${this.state.row}`]);
    this.say(() => {
      const row = this.row;
      return `${shown(this.token.piece)}${row ? `, feature ${row.feature} ${row.label}: ${number(row.values[this.state.token])}` : ""}`;
    });
  }

  get token() {
    return this.data.tokens[this.state.token];
  }

  get row() {
    return this.data.rows[this.state.row];
  }

  cells() {
    return [["feature", "label", "density", "score", ...this.data.tokens.map((token) => shown(token.piece))],
      ["left out", "", "", "", ...this.data.tokens.map((token) => token.error ?? "")],
      ...this.data.rows.map((row) => [row.feature, row.label, row.density ?? "", row.score, ...row.values])];
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const { tokens, rows } = this.data;
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], Home: [-tokens.length, 0], End: [tokens.length, 0] }[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.change({ token: clamp(this.state.token + step[0], 0, tokens.length - 1), row: clamp(this.state.row + step[1], 0, Math.max(0, rows.length - 1)) });
  }

  /** @param {MouseEvent} event */
  pick(event) {
    const around = this.figure.getBoundingClientRect();
    const token = Math.floor((event.clientX - around.left - this.left) / this.wide);
    const row = Math.floor((event.clientY - around.top - this.top) / ROW);
    if (token >= 0) this.state.token = clamp(token, 0, this.data.tokens.length - 1);
    if (row >= 0) this.state.row = clamp(row, 0, Math.max(0, this.data.rows.length - 1));
    this.all();
  }

  draw() {
    const { tokens, rows } = this.data;
    const room = Math.max(280, this.room ?? this.box.clientWidth);
    this.left = room < 520 ? 118 : 230;
    this.wide = clamp(Math.floor((room - this.left - 44) / tokens.length), WIDE, 64);
    const longest = Math.max(...tokens.map((token) => shown(token.piece).length));
    this.top = ERRORS + 14 + Math.min(92, longest * 5.4 + 12);
    const [width, height] = [Math.max(room, this.left + this.wide * tokens.length + 40), this.top + rows.length * ROW + 6];
    const x = (token) => this.left + token * this.wide;
    const most = Math.max(1e-9, ...tokens.map((token) => token.error ?? 0));
    const base = ERRORS + 6;
    const heads = tokens.map((token, at) => s("g", { class: at === this.state.token ? "head chosen" : "head" },
      token.looked_at
        ? s("rect", { class: "error", x: x(at) + 2, width: this.wide - 4, y: base - (token.error / most) * ERRORS, height: Math.max(1, (token.error / most) * ERRORS) }, s("title", {}, `${shown(token.piece)}: ${percent(token.error)} left out, ${token.active} active`))
        : s("text", { class: "axis", x: x(at) + this.wide / 2, y: base, "text-anchor": "middle" }, "–"),
      s("text", { class: "piece", transform: `translate(${x(at) + this.wide / 2 - 4},${base + 10}) rotate(58)` }, clipped(shown(token.piece), 16))));
    const cells = rows.flatMap((row, line) => {
      const largest = Math.max(...row.values);
      return row.values.map((value, at) => (value > 0 ? s("rect", { class: "cell", x: x(at) + 1, y: this.top + line * ROW + 1, width: this.wide - 2, height: ROW - 2, "fill-opacity": (0.14 + 0.86 * (value / largest)).toFixed(3) }, s("title", {}, `${shown(tokens[at].piece)}, feature ${row.feature}: ${number(value)}`)) : null));
    });
    const letters = Math.floor((this.left - 56) / 6.4);
    this.names = s("g", { class: "names" }, s("rect", { class: "cover", x: 0, y: 0, width: this.left - 4, height }),
      s("text", { class: "axis", x: this.left - 10, y: base - 4, "text-anchor": "end" }, this.left > 200 ? `left out, up to ${percent(most)}` : "left out"),
      rows.map((row, line) => s("g", { class: line === this.state.row ? "chosen" : null },
        s("text", { x: 0, y: this.top + line * ROW + ROW / 2, dy: "0.35em" }, String(row.feature)),
        s("text", { class: "axis", x: 44, y: this.top + line * ROW + ROW / 2, dy: "0.35em" }, s("title", {}, row.label), clipped(row.label, letters)))));
    sized(this.figure, width, height);
    const title = `${rows.length} features at ${tokens.length} tokens`;
    this.figure.setAttribute("aria-label", `${title}; chosen: ${shown(this.token?.piece ?? "")}${this.row ? `, feature ${this.row.feature}, ${number(this.row.values[this.state.token])}` : ""}`);
    const cursor = rows.length ? [
      s("rect", { class: "band", x: x(this.state.token), y: 0, width: this.wide, height }),
      s("rect", { class: "cursor", x: x(this.state.token) + 0.5, y: this.top + this.state.row * ROW + 0.5, width: this.wide - 1, height: ROW - 1 })] : [];
    this.figure.replaceChildren(s("title", {}, title), cursor[0] ?? "", ...heads, ...cells.filter(Boolean), cursor[1] ?? "", this.names);
    this.bring(this.box, x(this.state.token), this.wide, this.left);
    this.stick(this.box, this.names);
  }

  tell() {
    const { token, row } = this;
    const here = this.data.features.here;
    const strongest = token.strongest;
    const largest = Math.max(1e-9, ...strongest.map((one) => one.value));
    const parts = [
      h("p", { class: "small" }, `Token ${this.state.token}`),
      h("h2", { class: "label", dir: "auto" }, shown(token.piece)),
      token.looked_at
        ? h("dl", { class: "figures" }, [["active features", String(token.active)], ["left out, of its length", percent(token.error)], ["its length", number(token.length)]].map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))))
        : small("The features' training left such tokens out, and so nothing is read here."),
      this.opens && here && token.looked_at ? h("div", { class: "ways" }, this.button("Its vector as a ledger of features", () => this.open("ledger", { text: this.data.text, position: this.state.token, at: this.data.point, features: here }))) : "",
      strongest.length ? h("h3", {}, token.active > strongest.length ? `Its ${strongest.length} strongest features of ${token.active}` : "Its features") : "",
      h("ul", { class: "bars" }, strongest.map((one) => {
        const bar = h("span", { class: "bar" });
        bar.style.width = `${(100 * one.value) / largest}%`;
        return h("li", {}, this.feature(one), h("span", { class: "track" }, bar), h("span", { class: "value" }, number(one.value)));
      })),
      row ? [h("h3", {}, `Feature ${row.feature} in this text`), row.label ? h("p", { dir: "auto" }, row.label) : "", this.text(row),
        this.opens && here ? h("div", { class: "ways" },
          this.button("Its card", () => this.open("features.card", { features: here, numbers: [row.feature] })),
          this.button("Steer with it", () => this.open("features.steer", { features: here, feature: row.feature, prompt: this.data.text }))) : ""] : ""];
    this.side.replaceChildren(...parts.flat(9).filter((part) => part !== ""));
  }

  /** A feature's name, which opens its row or its card. @param {any} one */
  feature(one) {
    const name = `${one.feature}${one.label ? ` ${one.label}` : ""}`;
    const row = this.data.rows.findIndex((each) => each.feature === one.feature);
    const here = this.data.features.here;
    if (row >= 0) return this.button(name, () => this.change({ row }), { class: "quiet name", title: name });
    if (this.opens && here) return this.button(name, () => this.open("features.card", { features: here, numbers: [one.feature] }), { class: "quiet name", title: `${name}: its card` });
    return h("span", { class: "name", title: name }, name);
  }

  /** The text, shaded by one feature. @param {any} row */
  text(row) {
    const largest = Math.max(...row.values);
    return h("p", { class: "asked c1", dir: "auto" }, this.data.tokens.map((token, at) => {
      const piece = h("span", { class: `token${at === this.state.token ? " itself" : ""}`, title: row.values[at] ? number(row.values[at]) : null }, token.piece.replace(/^·/, "").replace(/^##/, ""));
      piece.style.setProperty("--weight", `${Math.round((64 * row.values[at]) / largest)}%`);
      return [/^·/.test(token.piece) && at ? " " : "", piece];
    }));
  }

  /** @param {number} room */
  signature(room) {
    return [{ text: clipped(this.data.text, room) }, ...super.signature(room)];
  }
}
