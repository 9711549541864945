// @ts-check
/**
 * Runs of training, a line each: how they stand, how far they are, their last figures; choose some
 * to see them side by side.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schema
 * molehill.runs/1, see docs/rooms/views.md) into `el` and returns its own cleanup. While a run is at
 * work and the host answers, the list is read again every few seconds, and not while the page is
 * hidden.
 */

import { Page, csv, download, h, minus, rendering, small } from "./kit.js";

const render = rendering(() => View);
export default { render };

const EVERY = 5_000;
const MOST = 8;
const STATES = { "at work": "●", finished: "■", stopped: "▲", "not begun": "○" };

/** @param {number | null} value */
const whole = (value) => (value === null ? "" : Math.round(value).toLocaleString("en-US"));

/** @param {number | null} seconds */
function time(seconds) {
  if (seconds === null) return "";
  if (seconds < 100) return `${Math.round(seconds)} s`;
  if (seconds < 6_000) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3_600)} h ${Math.round((seconds % 3_600) / 60)} min`;
}

class View extends Page {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.subject = "runs";
    /** @type {Set<string>} */
    this.chosen = new Set();
    this.notice = this.fromHash();
  }

  build() {
    this.lead = this.leadOf(this.data.summary);
    this.body = h("tbody", {});
    this.status = h("p", { class: "small", role: "status" });
    const heads = [this.opens ? "compare" : "", "run", "state", "", "step", "read", "time", "last figures"];
    const table = h("table", {}, h("thead", {}, h("tr", {}, heads.map((name, place) => h("th", { scope: "col", class: place > 3 && place < 7 ? "figure" : null }, name)))), this.body);
    this.compare = this.button("Side by side", () => this.beside(), { disabled: true });
    this.mount(
      h("header", {}, h("div", {}, h("h1", {}, "Runs")), h("div", { class: "tools" }, this.themeSwitch(), this.helpOf([["?", "this list"], ["Esc", "close it"]], "Choose runs to see them side by side."))),
      this.lead,
      h("section", { class: "list", "aria-label": "Runs" },
        h("div", { class: "controls" }, this.opens ? this.compare : small("To open a run: molehill explore, or molehill runs RUN --html FILE."),
          this.button("CSV", () => download("runs.csv", csv(this.cells()), "text/csv"), { class: "quiet", title: "Save as CSV" })),
        h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Runs" }, table), this.status),
      this.foot());
    this.on(document, "keydown", (event) => {
      if (event.key === "?" && !event.target.closest?.("input, select, textarea")) this.dialog.showModal();
    });
    this.on(document, "visibilitychange", () => this.watch());
    this.on(this.body, "click", (event) => {
      const run = event.target.closest?.("[data-open]")?.dataset.open;
      if (run) this.open("run", { run });
    });
    this.on(this.body, "change", (event) => this.choose(event.target));
    this.all();
    this.watch();
  }

  halt() {
    super.halt();
    clearTimeout(this.later);
  }

  all() {
    const rows = this.data.runs.map((run) => this.row(run));
    this.body.replaceChildren(...rows);
    if (!rows.length) this.body.append(h("tr", {}, h("td", { colspan: 8 }, "There is no run here. `molehill train RECIPE --out runs/NAME` makes one.")));
    this.syncControls();
    this.writeHash([]);
  }

  /** @param {any} run */
  row(run) {
    const share = run.steps ? Math.min(1, run.step / run.steps) : 0;
    const bar = h("span", { class: "done", title: `${whole(run.step)} of ${whole(run.steps)} steps` }, h("i", {}));
    /** @type {HTMLElement} */ (bar.firstChild).style.setProperty("--done", `${100 * share}%`);
    const pick = h("input", { type: "checkbox", "data-run": run.name, "aria-label": `Compare ${run.name}`, checked: this.chosen.has(run.name) });
    const figures = run.last.slice(0, 3).map((one) => h("span", { class: "last" }, `${one.name} `, h("b", {}, minus(String(Number(one.value.toPrecision(4)))))));
    return h("tr", {},
      h("td", {}, this.opens ? pick : ""),
      h("th", { scope: "row", dir: "auto" }, this.opens ? h("button", { type: "button", class: "quiet name", "data-open": run.name }, run.name) : run.name),
      h("td", { class: `state ${run.state.replace(" ", "-")}` }, `${STATES[run.state]} ${run.state}`), h("td", {}, bar),
      h("td", { class: "figure" }, `${whole(run.step)}${run.steps === null ? "" : ` of ${whole(run.steps)}`}`),
      h("td", { class: "figure" }, run.read === null ? "" : `${whole(run.read)} ${run.unit}`), h("td", { class: "figure" }, time(run.seconds)),
      h("td", { class: "figures" }, figures));
  }

  /** @param {HTMLInputElement} input */
  choose(input) {
    const run = input.dataset.run ?? "";
    if (input.checked && this.chosen.size < MOST) this.chosen.add(run);
    else this.chosen.delete(run);
    input.checked = this.chosen.has(run);
    this.compare.disabled = this.chosen.size < 2;
    this.compare.textContent = this.chosen.size > 1 ? `${this.chosen.size} side by side` : "Side by side";
    this.say(() => `${this.chosen.size} runs are chosen${this.chosen.size === MOST ? ", which is the most" : ""}.`);
  }

  beside() {
    const [run, ...against] = this.chosen;
    this.open("run", { run, against });
  }

  cells() {
    return [["run", "kind", "state", "step", "steps", "read", "unit", "seconds", "parameters", "figure", "value", "lowest", "lowest at"],
      ...this.data.runs.flatMap((run) => (run.last.length ? run.last : [{}]).map((one) => [run.name, run.kind, run.state, run.step, run.steps, run.read, run.unit, run.seconds, run.parameters, one.name, one.value, one.lowest, one.lowest_at]))];
  }

  /** Ask again in a while, as long as there is something to wait for and somebody looks. */
  watch(wait = EVERY) {
    clearTimeout(this.later);
    const working = this.asks && this.data.runs.some((run) => run.state === "at work");
    this.status.textContent = working ? "A run is at work: read again every few seconds." : "";
    if (working && !document.hidden) this.later = setTimeout(() => this.again(), wait);
  }

  async again() {
    const begun = performance.now();
    try {
      this.data = { ...this.data, ...await this.ask("runs", {}, { fresh: true }) };
    } catch (error) {
      if (error.name !== "AbortError") this.status.textContent = error.message;
      return;
    }
    const lead = this.leadOf(this.data.summary);
    this.lead.replaceWith(lead);
    this.lead = lead;
    this.all();
    this.watch(Math.max(EVERY, 10 * (performance.now() - begun)));
  }

  source() {
    return `Shown by Molehill ${this.data.provenance.version}.`;
  }

  foot() {
    return this.footOf(this.data.notes, "runs");
  }
}
