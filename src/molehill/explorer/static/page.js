// @ts-check
/**
 * The page: a menu of rooms, the form of one question, and the view that draws its answer. It is a
 * host of the same modules that a notebook hosts, and keeps all that is chosen in the address.
 */

import { copied, download, h } from "./kit.js";
import { LONGEST, readAddress, writeAddress } from "./address.js";
import { Form, fitted } from "./form.js";
import { HostModel } from "./host.js";
import { moduleOf } from "./modules.js";
import { asked, fetched, post, refusal } from "./server.js";
import { Tour } from "./tour.js";

const THEMES = { auto: "Theme: system", dark: "Theme: dark", light: "Theme: light" };
const TOUR = { name: "tour", title: "Guided tour", hint: "The whole story in ten steps.", questions: ["tour"] };
/** Views that have nothing to show before an edit is applied. */
const OF_EDITS = ["facts.difference", "facts.undo"];
/** What is carried from one question to the next. */
const SHARED = ["text", "word", "sentences", "features"];

class App {
  /** @param {any} catalogue */
  constructor(catalogue) {
    this.catalogue = catalogue;
    this.questions = new Map(catalogue.questions.map((one) => [one.name, one]));
    const rooms = catalogue.rooms.map((room) => ({ ...room, questions: room.questions.filter((name) => this.questions.has(name)) }));
    this.rooms = [TOUR, ...rooms.filter((room) => room.questions.length)];
    this.theme = remembered("theme") ?? "auto";
    /** @type {Record<string, Record<string, any>>} what was last asked of each question */
    this.last = {};
    /** @type {Record<string, Record<string, any>>} by model, the texts given last: past views that have none */
    this.carried = {};
    this.place = readAddress(location.hash);
    this.touring = new AbortController();
    this.build();
    addEventListener("popstate", () => this.moved());
    addEventListener("hashchange", () => this.moved());
    document.addEventListener("keydown", (event) => this.key(event));
    this.settle();
    this.show();
  }

  // --- the frame -------------------------------------------------------------------------------------

  build() {
    this.menu = h("nav", { class: "rooms", "aria-label": "Rooms" }, this.rooms.map((room, index) => {
      const link = h("a", { href: "#", "data-room": room.name, title: room.hint, "aria-keyshortcuts": `Alt+${index + 1}` }, room.title);
      link.addEventListener("click", (event) => {
        event.preventDefault();
        this.enter(room);
      });
      return link;
    }));
    this.models = h("select", { "aria-label": "Model", title: "Model" }, this.catalogue.models.map((one) => h("option", { value: one.name }, one.name)));
    this.models.addEventListener("change", () => this.switchModel(this.models.value));
    this.edits = h("button", { type: "button", class: "edits", hidden: true });
    this.edits.addEventListener("click", () => this.go({ ...this.place, question: this.questions.has("facts.stack") ? "facts.stack" : this.place.question, inputs: {}, state: "" }));
    this.themes = h("button", { type: "button", class: "quiet" });
    this.themes.addEventListener("click", () => {
      const names = Object.keys(THEMES);
      this.setTheme(names[(names.indexOf(this.theme) + 1) % names.length]);
    });
    const brand = h("a", { href: "#/tour", class: "brand" }, h("img", { src: "/static/mark.svg", width: 26, height: 26, alt: "" }), "Molehill");
    const top = h("header", { class: "top" }, brand, this.menu, h("div", { class: "choices" }, this.edits, this.models, this.themes));
    this.tabs = h("nav", { class: "tabs", "aria-label": "Views" });
    this.hint = h("p", { class: "hint" });
    this.asking = h("div", { class: "asking" });
    this.status = h("div", { class: "status", role: "status", "aria-live": "polite" });
    this.keep = h("div", { class: "keep", role: "group", "aria-label": "Keep this view" }, this.keepers());
    this.stage = h("div", { class: "view" });
    this.main = h("main", { tabindex: -1, id: "main" }, h("div", { class: "ask" }, h("div", { class: "line" }, this.tabs, this.keep), this.hint, this.asking), this.status, this.stage);
    this.root = h("div", { class: "mh shell" }, h("a", { href: "#main", class: "skip" }, "To the view"), top, this.main);
    this.root.querySelector(".skip").addEventListener("click", (event) => {
      event.preventDefault();
      this.main.focus();
    });
    document.body.replaceChildren(this.root);
    this.setTheme(this.theme);
  }

  keepers() {
    const made = (label, act, title) => {
      const button = h("button", { type: "button", class: "quiet", title }, label);
      button.addEventListener("click", () => act(button));
      return button;
    };
    return [
      made("Copy link", (button) => this.copyLink(button), "The address of exactly this view"),
      made("Save as page", (button) => this.savePage(button), "One HTML file that opens without Molehill"),
      made("⤢", () => this.maximise(), "The view alone (f)"),
    ];
  }

  /** @param {string} theme */
  setTheme(theme) {
    this.theme = Object.hasOwn(THEMES, theme) ? theme : "auto";
    remember("theme", this.theme);
    this.themes.textContent = THEMES[this.theme];
    if (this.theme === "auto") delete this.root.dataset.theme;
    else this.root.dataset.theme = this.theme;
    this.model?.put("theme", this.theme);
    this.tour?.setTheme(this.theme);
  }

  maximise() {
    this.root.classList.toggle("alone");
  }

  // --- where we are ------------------------------------------------------------------------------------

  /** What the address lacks is filled in; what it has and is not there is said. */
  settle() {
    this.notices = [];
    const { place } = this;
    const models = this.catalogue.models.map((one) => one.name);
    if (place.model && !models.includes(place.model)) {
      this.notices.push(`The link asks for the model “${place.model}”, which this page does not have (molehill explore ${place.model}).`);
    }
    if (!models.includes(place.model)) place.model = models[0];
    if (place.question && place.question !== "tour" && !this.questions.has(place.question)) {
      this.notices.push(`There is no view “${place.question}”.`);
      place.question = "";
      place.inputs = {};
    }
    if (!place.question) Object.assign(place, { question: this.questions.has("shift") ? "shift" : this.catalogue.questions[0].name, inputs: {} });
    const question = this.questions.get(place.question);
    const known = question ? question.fields : { step: { type: "integer" } };
    const odd = [];
    for (const [name, value] of Object.entries(place.inputs)) {
      const fit = Object.hasOwn(known, name) ? fitted(known[name], value) : undefined;
      if (fit === undefined) odd.push(name);
      else place.inputs[name] = fit;
    }
    if (odd.length) this.notices.push(`The link has inputs that this view does not take (${odd.join(", ").slice(0, 60)}); the rest is used.`);
    for (const name of odd) delete place.inputs[name];
  }

  /** @param {any} place @param {boolean} [replacing] */
  go(place, replacing = false) {
    this.place = place;
    this.write(replacing);
    this.settle();
    this.show();
  }

  /** Something of this view is changed, and the view keeps what it can of its state. @param {any} changed */
  goOn(changed) {
    this.go({ ...this.place, ...changed });
    this.keeps = true;
  }

  /** @param {boolean} replacing */
  write(replacing) {
    const address = writeAddress(this.place);
    if (address === location.hash) return;
    if (replacing) history.replaceState(null, "", address);
    else history.pushState(null, "", address);
  }

  /** Back, forward, or an address typed by hand. */
  moved() {
    const place = readAddress(location.hash);
    const { state } = place;
    const same = (one) => writeAddress({ ...one, state: "" });
    if (same(place) === same(this.place)) {
      if (state !== this.place.state) {
        this.place.state = state;
        this.model?.put("state", state);
      }
      return;
    }
    this.place = place;
    this.settle();
    this.show();
  }

  /** @param {any} room */
  enter(room) {
    this.open(this.lastIn?.[room.name] ?? room.questions[0], {});
  }

  /** Another question, with what it shares with this one. @param {string} question @param {Record<string, any>} inputs */
  open(question, inputs) {
    const known = this.questions.get(question)?.fields ?? {};
    const { inputs: here, model } = this.place;
    const kept = this.carried[model] ??= {};
    const left = this.questions.get(this.place.question)?.fields ?? {};
    for (const name of SHARED) if (Object.hasOwn(left, name)) kept[name] = here[name];
    const carried = Object.fromEntries(Object.entries(kept).filter(([name, value]) => value !== undefined && Object.hasOwn(known, name)));
    const remembered = Object.keys(inputs).length ? {} : this.last[question] ?? {};
    this.go({ ...this.place, question, inputs: { ...remembered, ...carried, ...inputs }, state: "" });
  }

  /** @param {string} model */
  has(model) {
    return this.catalogue.models.some((one) => one.name === model);
  }

  roomOf(question) {
    return this.rooms.find((room) => room.questions.includes(question));
  }

  // --- one view --------------------------------------------------------------------------------------

  show() {
    /** Whether the view's state is that of the text before, of which not all need fit. */
    this.keeps = false;
    this.stop?.abort();
    this.stop = new AbortController();
    const { question, inputs, model } = this.place;
    this.models.value = model;
    this.models.disabled = question === "tour";
    this.models.title = question === "tour" ? "Each step of the tour has its own model" : "Model";
    this.edits.hidden = !this.place.edits.length;
    this.edits.textContent = `${this.place.edits.length} ${this.place.edits.length === 1 ? "edit" : "edits"} applied`;
    const room = this.roomOf(question);
    for (const link of this.menu.children) link.toggleAttribute("aria-current", link.dataset.room === room?.name);
    this.menu.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
    this.tour?.close();
    this.tour = undefined;
    this.root.classList.toggle("touring", question === "tour");
    // What the tour asks ahead is of no use outside it, and would keep others waiting.
    if (question !== "tour") this.touring.abort();
    else if (this.touring.signal.aborted) this.touring = new AbortController();
    if (question === "tour") return this.showTour();
    const one = this.questions.get(question);
    document.title = `${one.title} · Molehill`;
    if (room) (this.lastIn ??= {})[room.name] = question;
    this.drawTabs(room, question);
    this.hint.replaceChildren(one.hint, ...this.invitation());
    this.begin(one, inputs);
    this.last[question] = inputs;
    this.form = new Form(one, inputs, {
      catalogue: this.catalogue, model, signal: this.stop.signal,
      changed: (given) => this.goOn({ inputs: given }),
    });
    const back = this.caret();
    this.asking.replaceChildren(this.form.node);
    back();
    // Fields that had to be chosen from what is there.
    Object.assign(this.place.inputs, this.form.inputs());
    const lacking = this.lacking(one);
    if (lacking) return this.wait(lacking);
    if (one.eager === false && !this.startedBy(question, inputs)) return this.wait("This takes a while: it begins with “Show”.");
    this.answer(one);
  }

  /** For who has not seen the tour in this browser. */
  invitation() {
    if (remembered("toured")) return [];
    return [" ", h("a", { href: "#/tour", class: "invitation" }, "New here? Take the guided tour, ten short steps.")];
  }

  /** A new form of the same fields gets the focus where it was. */
  caret() {
    const { id, selectionStart: from, selectionEnd: to } = /** @type {HTMLInputElement} */ (document.activeElement ?? {});
    const inside = this.asking.contains(document.activeElement);
    return () => {
      if (!inside) return;
      const field = /** @type {HTMLInputElement | null} */ (id ? this.asking.querySelector(`#${CSS.escape(id)}`) : null);
      (field ?? this.form.go).focus({ preventScroll: true });
      if (field && typeof from === "number") field.setSelectionRange(from, to);
    };
  }

  /** Another model: what was typed stays, what stood there for the one before goes. @param {string} model */
  switchModel(model) {
    const before = this.place.model;
    const fields = this.questions.get(this.place.question)?.fields ?? {};
    const begun = (name, value) => JSON.stringify(fields[name]?.begins?.[before]) === JSON.stringify(value);
    const own = (inputs) => Object.fromEntries(Object.entries(inputs).filter(([name, value]) => name !== "features" && !begun(name, value)));
    this.last = {};
    this.go({ ...this.place, model, edits: [], inputs: own(this.place.inputs), state: "" });
  }

  /** What a field begins with for this model, where its default is of no use to it. @param {any} one @param {any} inputs */
  begin(one, inputs) {
    for (const [name, field] of Object.entries(one.fields)) {
      const value = field.begins?.[this.place.model];
      if (value !== undefined && inputs[name] === undefined) inputs[name] = value;
    }
  }

  /** A long answer is not begun by a click on its tab, but by its own button or a link to it. */
  startedBy(question, inputs) {
    const given = this.asked === question;
    this.asked = question;
    return given || Object.keys(inputs).length > 0;
  }

  drawTabs(room, question) {
    const inside = this.tabs.contains(document.activeElement);
    const shown = (name) => name === question || this.place.edits.length > 0 || !OF_EDITS.includes(name);
    this.tabs.replaceChildren(...(room?.questions ?? [question]).filter(shown).map((name) => {
      const tab = h("a", { href: "#", "aria-current": name === question ? "page" : null }, this.questions.get(name).title);
      tab.addEventListener("click", (event) => {
        event.preventDefault();
        this.open(name, {});
      });
      return tab;
    }));
    if (inside) /** @type {HTMLElement | null} */ (this.tabs.querySelector("[aria-current]"))?.focus({ preventScroll: true });
  }

  /** What is missing for a question, in words. @param {any} one */
  lacking(one) {
    const { model } = this.place;
    const fits = this.catalogue.features.some((features) => !features.model || features.model === model);
    const needs = { features: [fits, `No features of ${model} are here: molehill explore ${model} --features FILE.`], examples: [this.catalogue.examples.length > 0, "No examples file is here: molehill explore --examples FILE."], run: [this.catalogue.runs.length > 0, "No runs are here: molehill explore --runs FOLDER."] };
    for (const need of one.needs) if (needs[need] && !needs[need][0]) return needs[need][1];
    return "";
  }

  /** @param {string} told */
  wait(told) {
    this.closeView();
    this.say(told);
  }

  /** The inputs of a question with what the host knows. @param {string} question @param {any} inputs */
  filled(question, inputs) {
    const fields = this.questions.get(question)?.fields ?? {};
    const known = { model: this.place.model, edits: this.place.edits };
    const host = Object.fromEntries(Object.entries(known).filter(([name]) => Object.hasOwn(fields, name)));
    return { ...host, ...inputs };
  }

  async answer(one) {
    const { signal } = this.stop;
    const { inputs } = this.place;
    if (this.shownQuestion === one.name) this.stage.classList.add("pending");
    else this.closeView();
    this.say("", { working: true });
    try {
      const [data, module] = await Promise.all([
        asked(one.name, this.filled(one.name, inputs), { signal, onProgress: (told) => this.say(progress(told, this.catalogue.deadline), { working: true, ...told }) }),
        moduleOf(one.view),
      ]);
      if (signal.aborted) return;
      this.mount(one, data, module);
      this.say("");
    } catch (error) {
      if (signal.aborted) return;
      this.closeView();
      this.say(error.message, { wrong: true });
    }
  }

  mount(one, data, module) {
    this.closeView();
    const el = h("div", { class: one.host_class });
    this.stage.replaceChildren(el);
    this.model = new HostModel(
      { data, state: this.place.state, keeps: this.keeps, theme: this.theme, edits: this.place.edits, catalogue: this.catalogue, name: this.place.model },
      {
        saved: ({ state }) => {
          if (state === undefined || this.place.state === state) return;
          this.place.state = state;
          this.write(true);
          this.tooLong();
        },
        open: (question, inputs) => this.open(question, inputs),
        edits: (edits) => this.goOn({ edits }),
        filled: (question, inputs) => this.filled(question, inputs),
      },
    );
    this.undo = module.default.render({ model: this.model, el });
    this.shownQuestion = one.name;
  }

  closeView() {
    this.model?.close();
    this.undo?.();
    this.undo = this.model = this.shownQuestion = undefined;
    this.stage.classList.remove("pending");
    this.stage.replaceChildren();
  }

  showTour() {
    document.title = "Guided tour · Molehill";
    remember("toured", "yes");
    this.closeView();
    this.say("");
    this.asking.replaceChildren();
    this.tour = new Tour(this.stage, {
      app: this, step: this.place.inputs.step ?? 1, signal: this.stop.signal,
      moved: (step) => this.go({ ...this.place, question: "tour", inputs: { step }, state: "" }),
    });
    this.models.value = this.tour.step.inputs.model ?? this.place.model;
  }

  // --- what is being done ------------------------------------------------------------------------------

  /** @param {string} told @param {{working?: boolean, wrong?: boolean, done?: number, whole?: number}} [how] */
  say(told, { working = false, wrong = false, done = 0, whole = 0 } = {}) {
    clearTimeout(this.quiet);
    const lines = (this.notices ?? []).map((notice) => h("p", { class: "notice" }, notice));
    if (!told && !working) return this.status.replaceChildren(...lines);
    const draw = () => {
      const bar = working ? h("progress", whole ? { value: done, max: whole, "aria-label": "How far" } : { "aria-label": "At work" }) : "";
      const stop = working ? h("button", { type: "button", class: "quiet" }, "Stop") : "";
      if (stop) stop.addEventListener("click", () => this.halt());
      this.status.replaceChildren(...lines, h("p", { class: wrong ? "wrong" : "told", role: wrong ? "alert" : null }, bar, h("span", { dir: "auto" }, told), stop));
    };
    // What is there at once needs no word.
    if (working && !told) this.quiet = setTimeout(() => draw(), 400);
    else draw();
  }

  halt() {
    this.stop.abort();
    this.stop = new AbortController();
    this.stage.classList.remove("pending");
    this.say("Stopped.");
  }

  // --- keeping ---------------------------------------------------------------------------------------

  tooLong() {
    const long = location.href.length > LONGEST;
    if (long && !this.notices.length) this.notices.push(`This address has ${location.href.length.toLocaleString("en")} characters; some programs cut it. “Save as page” keeps the view whole.`);
  }

  async copyLink(button) {
    const done = await copied(location.href);
    flash(button, done ? "Copied" : "Could not copy");
  }

  async savePage(button) {
    const { question, inputs } = this.place;
    if (question === "tour") return flash(button, "Not the tour");
    try {
      const response = await post(`/api/page/${question}`, this.filled(question, inputs), { accept: "text/html" });
      if (!response.ok) throw await refusal(response);
      download(`molehill-${question.replaceAll(".", "-")}.html`, await response.blob(), "text/html");
      flash(button, "Saved");
    } catch (error) {
      this.say(error.message, { wrong: true });
    }
  }

  // --- keys ------------------------------------------------------------------------------------------

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.altKey && /^[1-9]$/.test(event.key) && this.rooms[Number(event.key) - 1]) {
      event.preventDefault();
      return this.enter(this.rooms[Number(event.key) - 1]);
    }
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (event.key === "/") {
      event.preventDefault();
      /** @type {HTMLElement | null} */ (this.asking.querySelector("textarea, input, select"))?.focus();
    } else if (event.key === "f") this.maximise();
    else if (event.key === "Escape" && this.status.querySelector("progress")) this.halt();
  }
}

/** @param {any} target */
function typing(target) {
  return target instanceof HTMLElement && (target.matches("input, textarea, select") || target.isContentEditable);
}

/** How far an answer is, in words. @param {any} told @param {number} deadline */
function progress(told, deadline) {
  if (told.kind === "waiting") return told.position ? `Waiting: ${told.position} ${told.position === 1 ? "question" : "questions"} before this one; each is ended after ${deadline} s.` : "";
  return told.whole ? `${told.what} (${told.done.toLocaleString("en")} of ${told.whole.toLocaleString("en")})` : told.what;
}

/** @param {HTMLElement} button @param {string} text */
function flash(button, text) {
  const was = button.dataset.was ?? button.textContent ?? "";
  button.dataset.was = was;
  button.textContent = text;
  setTimeout(() => { button.textContent = was; }, 1600);
}

/** @param {string} name @returns {string | null} */
function remembered(name) {
  try {
    return localStorage.getItem(`molehill.${name}`);
  } catch {
    return null;
  }
}

/** @param {string} name @param {string} value */
function remember(name, value) {
  try {
    localStorage.setItem(`molehill.${name}`, value);
  } catch {
    // Private windows keep nothing.
  }
}

try {
  new App(await fetched("/api/catalogue"));
} catch (error) {
  document.body.replaceChildren(h("div", { class: "mh shell" }, h("p", { class: "notice", role: "alert" }, error.message)));
}
