// @ts-check
/**
 * Scores of methods of editing: every definition as a column, before and after; edits in a row; cases.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schema
 * molehill.fact-scores/1, see docs/rooms/facts.md) into `el` and returns its own cleanup. It asks
 * nothing of the network, and every text from the data becomes a text node.
 */

import { Page, clamp, csv, download, h, minus, rendering } from "./kit.js";

const render = rendering(() => View);
export default { render };

class View extends Page {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.subject = "scores of edits";
    this.notice = this.fromHash();
  }

  build() {
    const { methods, stacks } = this.data;
    const parts = [...(methods.length ? [this.scores()] : []), ...stacks.map((one) => this.stack(one)), ...(methods.length ? [this.cases()] : [])];
    this.mount(this.head(), this.leadOf(this.data.summary), ...parts, this.words(), this.foot());
    this.on(document, "keydown", (event) => {
      if (event.key === "?" && !event.target.closest?.("input, select, textarea")) this.dialog.showModal();
    });
    const boxes = /** @type {HTMLElement[]} */ ([...this.root.querySelectorAll(".scroll")]);
    this.observer = new ResizeObserver(() => boxes.forEach((box) => this.stick(box, undefined)));
    for (const box of boxes) {
      this.observer.observe(box);
      this.on(box, "scroll", () => this.stick(box, undefined));
    }
    this.all();
  }

  halt() {
    this.observer?.disconnect();
    clearTimeout(this.spoken);
  }

  all() {
    this.syncControls();
    this.writeHash([]);
  }

  head() {
    const made = this.data.provenance;
    const keys = [["Tab", "the next control or table"], ["← →", "scroll a table (focused)"], ["?", "this list"], ["Esc", "close it"]];
    return h("header", {},
      h("div", {}, h("h1", {}, "Scores of edits"), h("p", { class: "sub" }, `${made.model}, ${made.dtype} · ${this.data.cases} cases`)),
      h("div", { class: "tools" }, this.themeSwitch(), this.helpOf(keys, "The address holds the theme.")));
  }

  /** A table that scrolls by itself, with what it holds to keep. @param {string} title @param {string[]} heads @param {any[]} rows @param {() => any[][]} cells */
  table(title, heads, rows, cells) {
    const save = this.button("CSV", () => download(`${this.fileName(title)}.csv`, csv(cells()), "text/csv"), { class: "quiet", title: `Save ${title} as CSV` });
    const head = h("tr", {}, heads.map((name, index) => h("th", { scope: "col", class: index ? "figure" : null }, name)));
    return h("section", { class: "why" },
      h("div", { class: "controls" }, h("h2", {}, title), save),
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, h("table", {}, h("thead", {}, head), h("tbody", {}, rows))));
  }

  scores() {
    const { metrics, methods } = this.data;
    const cell = (metric, value) => {
      if (!value) return h("td", { class: "figure" }, "–");
      const spread = value.deviation_after === null ? "" : ` ± ${told(value.deviation_after, metric.percent)}`;
      return h("td", { class: "figure" }, h("small", {}, `${told(value.before, metric.percent)} → `), h("strong", {}, told(value.after, metric.percent)), h("small", {}, spread), bar(metric, value));
    };
    const rows = methods.map((one) => h("tr", {}, h("th", { scope: "row" }, one.method, h("small", {}, ` ${one.count} cases`)), metrics.map((metric) => cell(metric, one.values[metric.name]))));
    const cells = () => [["method", "cases", ...metrics.flatMap((one) => [`${one.name} before`, `${one.name} after`, `${one.name} deviation after`])],
      ...methods.map((one) => [one.method, one.count, ...metrics.flatMap((metric) => {
        const value = one.values[metric.name] ?? {};
        return [value.before, value.after, value.deviation_after];
      })])];
    return this.table("Each edit by itself, before → after", ["method", ...metrics.map((one) => this.named(one))], rows, cells);
  }

  /** @param {any} metric */
  named(metric) {
    return h("span", { title: `${metric.words} (${metric.source})` }, metric.name.replaceAll("_", " "));
  }

  /** @param {any} one */
  stack(one) {
    const { metrics } = this.data;
    const bits = (value) => (value === null ? "not finite" : value.toFixed(3));
    const first = h("tr", {}, h("th", { scope: "row" }, "0"), h("td", { class: "figure" }, bits(one.bits_before)), metrics.map(() => h("td", {})));
    const rows = one.milestones.map((row) => h("tr", {}, h("th", { scope: "row" }, String(row.edits)), h("td", { class: "figure" }, bits(row.bits)),
      metrics.map((metric) => h("td", { class: "figure" }, told(row.values[metric.name]?.after ?? null, metric.percent)))));
    const cells = () => [["edits", "bits per byte", ...metrics.map((metric) => metric.name)], [0, one.bits_before],
      ...one.milestones.map((row) => [row.edits, row.bits, ...metrics.map((metric) => row.values[metric.name]?.after)])];
    return this.table(`${one.method}, edits in a row`, ["edits", "bits per byte", ...metrics.map((metric) => this.named(metric))], [first, ...rows], cells);
  }

  cases() {
    const { metrics, methods } = this.data;
    const all = methods.flatMap((method) => method.cases.map((one) => ({ ...one, method: method.method })));
    const rows = all.map((one) => h("tr", {}, h("th", { scope: "row", dir: "auto" }, one.prompt.trim()),
      [one.true, one.new, one.method].map((text) => h("td", { class: "figure", dir: "auto" }, text)),
      metrics.map((metric) => h("td", { class: "figure" }, told(one.after[metric.name] ?? null, metric.percent)))));
    const heads = ["prompt", "true", "new", "method", ...metrics.map((metric) => this.named(metric))];
    const cells = () => [["prompt", "true", "new", "method", "edit", ...metrics.flatMap((metric) => [`${metric.name} before`, `${metric.name} after`])],
      ...all.map((one) => [one.prompt, one.true, one.new, one.method, one.edit, ...metrics.flatMap((metric) => [one.before[metric.name], one.after[metric.name]])])];
    return this.table("Every case, after its edit", heads, rows, cells);
  }

  words() {
    return h("section", { class: "why" }, h("h2", {}, "What the columns say"),
      h("dl", { class: "terms" }, this.data.metrics.map((one) => [h("dt", {}, one.name.replaceAll("_", " ")), h("dd", {}, one.words, h("small", {}, ` ${one.source}`))])));
  }

  foot() {
    return this.footOf(this.data.notes, "scores");
  }
}

/** A share times 100; what is no share as it is. @param {number | null} value @param {boolean} percent */
function told(value, percent) {
  if (value === null || value === undefined) return "–";
  return minus(percent ? (100 * value).toFixed(1) : value.toFixed(2));
}

/** Where the value was, and where it is. @param {any} metric @param {any} value */
function bar(metric, value) {
  if (!metric.percent) return "";
  const full = h("span", { class: "bar" });
  full.style.width = `${100 * clamp(value.after ?? 0, 0, 1)}%`;
  const was = h("i", {});
  was.style.left = `${100 * clamp(value.before ?? 0, 0, 1)}%`;
  return h("span", { class: "track", "aria-hidden": "true" }, full, was);
}
