// @ts-check
/**
 * The guided tour: beside the story of each step stands the real view, answered by the real model,
 * with everything that it can do. Steps come from the server, views are the page's own.
 */

import { h } from "./kit.js";
import { HostModel } from "./host.js";
import { moduleOf } from "./modules.js";
import { askAhead, asked } from "./server.js";

export class Tour {
  /**
   * @param {HTMLElement} el
   * @param {{app: any, step: number, signal: AbortSignal, moved: (step: number) => void}} host
   */
  constructor(el, host) {
    this.el = el;
    this.host = host;
    this.app = host.app;
    this.steps = this.app.catalogue.tour.filter((step) => this.app.questions.has(step.question));
    this.at = Math.min(Math.max(1, Math.trunc(Number(host.step)) || 1), this.steps.length);
    this.step = this.steps[this.at - 1];
    this.build();
    document.addEventListener("keydown", (event) => this.key(event), { signal: host.signal });
    this.ask();
  }

  build() {
    const { step, at, steps } = this;
    this.title = h("h1", { tabindex: -1 }, step.title);
    const story = h("section", { class: "story", "aria-label": `Step ${at} of ${steps.length}` },
      h("p", { class: "count" }, `${at} of ${steps.length}`),
      this.title,
      step.story.map((paragraph) => h("p", {}, paragraph)),
      h("p", { class: "look" }, h("strong", {}, "Look: "), step.look),
      this.tries(), this.turns());
    this.status = h("p", { class: "told", role: "status" });
    this.stage = h("div", { class: "live" });
    this.el.replaceChildren(h("div", { class: "tour" }, this.dots(), story, h("section", { class: "beside", "aria-label": "The view" }, this.status, this.stage)));
    if (this.app.turned) this.title.focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  dots() {
    return h("nav", { class: "dots", "aria-label": "Steps" }, h("ol", {}, this.steps.map((step, index) => h("li", {}, this.link(`${index + 1}`, () => this.go(index + 1), { title: step.title, "aria-label": `Step ${index + 1}: ${step.title}`, "aria-current": index + 1 === this.at ? "step" : null })))));
  }

  tries() {
    const there = this.step.tries.filter((one) => this.app.questions.has(one.question));
    return h("div", { class: "tries" }, h("span", {}, "Try: "), there.map((one) => this.link(one.label, () => this.leave(one))),
      this.link("This view with all it says", () => this.leave(this.step)));
  }

  turns() {
    const last = this.at === this.steps.length;
    return h("div", { class: "turns" },
      this.link("← Back", () => this.go(this.at - 1), { class: null, disabled: this.at === 1 }),
      this.link(last ? "To your own words →" : "Next →", () => this.go(this.at + 1), { class: "next" }),
      h("small", {}, "or the keys p and n"));
  }

  /** @param {string} text @param {() => void} act @param {Record<string, any>} [attributes] */
  link(text, act, attributes = {}) {
    const made = h("button", { type: "button", class: "quiet", ...attributes }, text);
    made.addEventListener("click", act, { signal: this.host.signal });
    return made;
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || target.matches?.("input, textarea, select")) return;
    if (event.key === "n") this.go(this.at + 1);
    else if (event.key === "p") this.go(this.at - 1);
  }

  /** @param {number} step */
  go(step) {
    if (step > this.steps.length) {
      this.app.enter(this.app.rooms[1]);
      return this.app.asking.querySelector("textarea")?.focus();
    }
    if (step < 1) return undefined;
    this.app.turned = true;
    return this.host.moved(step);
  }

  /** A question of its own page; going back leads here again. @param {{question: string, inputs: any}} one @param {string[]} [edits] */
  leave({ question, inputs }, edits = []) {
    const { model, ...rest } = inputs;
    // It was asked for here: also what takes a while begins by itself.
    this.app.asked = question;
    this.app.go({ ...this.app.place, ...(this.app.has(model) ? { model } : {}), question, inputs: rest, edits, state: "" });
  }

  /** What is moved within a step's view is asked anew beside its story. @param {any} inputs */
  stay(inputs) {
    this.step = { ...this.step, inputs: { ...this.step.inputs, ...inputs }, state: "" };
    this.asking?.abort();
    this.ask();
  }

  async ask() {
    this.asking = new AbortController();
    const signal = AbortSignal.any([this.host.signal, this.asking.signal]);
    const { question, inputs } = this.step;
    const one = this.app.questions.get(question);
    const slow = setTimeout(() => { this.status.textContent = "The model is at work…"; }, 400);
    try {
      const [data, module] = await Promise.all([
        asked(question, inputs, { signal, onProgress: (told) => { if (told.what) this.status.textContent = `${told.what}…`; } }),
        moduleOf(one.view),
      ]);
      if (signal.aborted) return;
      this.status.textContent = "";
      this.mount(one, data, module);
      const next = this.steps[this.at];
      if (next) askAhead(next.question, next.inputs, this.app.touring.signal);
    } catch (error) {
      if (!signal.aborted) this.status.textContent = error.message;
    } finally {
      clearTimeout(slow);
    }
  }

  mount(one, data, module) {
    this.model?.close();
    this.undo?.();
    const el = h("div", { class: one.host_class });
    this.stage.replaceChildren(el);
    const { model: name = this.app.place.model } = this.step.inputs;
    this.model = new HostModel(
      { data, state: this.step.state, theme: this.app.theme, edits: [], catalogue: this.app.catalogue, name },
      {
        saved: () => {},
        open: (question, inputs) => (question === this.step.question ? this.stay(inputs) : this.leave({ question, inputs: { model: name, ...inputs } })),
        edits: (edits) => this.leave(this.step, edits),
        filled: (question, inputs) => ({ ...(Object.hasOwn(this.app.questions.get(question)?.fields ?? {}, "model") ? { model: name } : {}), ...inputs }),
      },
    );
    this.undo = module.default.render({ model: this.model, el });
  }

  /** @param {string} theme */
  setTheme(theme) {
    this.model?.put("theme", theme);
  }

  close() {
    this.model?.close();
    this.undo?.();
    this.el.replaceChildren();
  }
}
