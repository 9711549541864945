// @ts-check
/**
 * What the pages of facts do in a live host: apply an edit to the model from now on, take it off, go
 * on from a prompt of one's own without and with it, and pass a fact on to another view.
 *
 * The list of applied edits is the host's (`model.get("edits")`): a page only asks for another one.
 */

import { Page, h, percent, shown, small } from "./kit.js";

/** A probability with two digits that tell. @param {number | null | undefined} value */
function likely(value) {
  return value === null || value === undefined ? "not finite" : percent(value);
}

/**
 * One prompt gone on with by both models, beside one another.
 * @param {any} row as `facts.say` gives it @param {string} name of the second column
 */
export function bothSay(row, name = "with the edits") {
  const side = (title, one) => h("div", {}, h("h3", {}, title),
    h("blockquote", { dir: "auto" }, h("span", { class: "weak" }, row.prompt.trim()), ` ${one.text.trim()}`),
    h("ul", { class: "words" }, one.next.map((next, index) => h("li", { class: index ? "weak" : null }, shown(next.piece), h("i", {}, likely(next.probability))))));
  if (!row.after) return h("div", { class: "both" }, side("as it came", row.before));
  const told = row.same_text ? "Both go on in the same words." : row.same_next ? "The next token is the same, what follows is not." : "Already the next token is another.";
  return h("div", { class: "both" },
    h("div", { class: "columns even" }, side("as it came", row.before), side(name, row.after)),
    small(`${told} The next token's distributions are ${Number(row.nats).toPrecision(3)} nats apart.`));
}

/** A page of one edit, or of several. */
export class FactPage extends Page {
  /** The digests of the edits that the host applies, in their order. @returns {string[]} */
  get applied() {
    return this.model.get("edits") ?? [];
  }

  /** Have the host apply these from now on, in this order. @param {string[]} edits */
  apply(edits) {
    this.model.send({ kind: "edits", edits });
  }

  /**
   * A text field with its name. @param {string} name @param {string} value
   * @param {() => void} act when Enter is pressed @param {Record<string, any>} [attributes]
   */
  field(name, value, act, attributes = {}) {
    const input = /** @type {HTMLInputElement} */ (h("input", { type: "text", class: "typed", spellcheck: "false", autocomplete: "off", "aria-label": name, placeholder: name, ...attributes }));
    input.value = value;
    this.on(input, "keydown", (event) => event.key === "Enter" && !event.isComposing && act());
    return input;
  }

  // --- one edit: apply it, take it off ------------------------------------------------------------

  /** The bar that applies the edit of `data.edit`. */
  applying() {
    if (!this.asks) return [];
    this.applyButton = this.button("", () => this.toggle());
    this.listButton = this.opens ? this.button("See the list", () => this.open("facts.stack", {}), { class: "quiet" }) : "";
    this.applyNote = h("p", { class: "small", role: "status" });
    this.listen("change:edits", () => this.syncApplied());
    this.syncApplied();
    return [h("section", { class: "apply", "aria-label": "Apply this edit" }, h("div", { class: "tools" }, this.applyButton, this.listButton), this.applyNote)];
  }

  get isApplied() {
    return this.applied.includes(this.data.edit.digest);
  }

  /** Taken off where it is applied, else put at the end of the list. */
  toggle() {
    const { digest } = this.data.edit;
    const { applied } = this;
    if (!this.isApplied) return this.apply([...applied, digest]);
    const place = applied.lastIndexOf(digest);
    return this.apply(applied.filter((_, index) => index !== place));
  }

  syncApplied() {
    const { applied, isApplied } = this;
    const before = this.data.stack_digests ?? [];
    const refused = this.data.health?.verdict === "refuses";
    this.applyButton.textContent = isApplied ? "Take it off" : refused ? "Apply it all the same" : "Apply it";
    this.applyButton.classList.toggle("main", !isApplied && !refused);
    const others = applied.filter((digest) => digest !== this.data.edit.digest);
    const moved = before.length !== others.length || before.some((digest, index) => digest !== others[index]);
    const count = (number) => (number === 1 ? "1 edit" : `${number} edits`);
    const told = isApplied
      ? `Applied: every view is of the model with ${count(applied.length)} now. Taken off, its weights are as they were, to the last bit.`
      : `A preview: nothing is changed until it is applied, and then only here; the model's file stays as it is.${refused ? " The health gate refuses it." : ""}`;
    const made = !isApplied && moved ? ` It was made for the model with ${before.length ? count(before.length) : "no edit"}, the list has ${applied.length || "none"} now: it may do something else on top of these.` : "";
    this.applyNote.textContent = told + made;
  }

  // --- prompts of one's own -----------------------------------------------------------------------

  /**
   * A field for a prompt, gone on with by both models. @param {string} prompt to begin with
   * @param {() => string[]} edits those of the second model @param {string} name of the second model
   */
  trying(prompt, edits, name) {
    if (!this.asks) return "";
    const out = h("div", { "aria-live": "polite" });
    const told = small("");
    const act = async () => {
      this.trial?.abort();
      const trial = new AbortController();
      this.trial = trial;
      const text = input.value;
      if (!text.trim()) return;
      told.textContent = "Both models write…";
      try {
        const found = await this.ask("facts.say", { prompts: [text], edits: edits() }, { signal: trial.signal });
        out.replaceChildren(...found.rows.map((row) => bothSay(row, name)));
        told.textContent = "";
      } catch (error) {
        if (error.name !== "AbortError") told.textContent = error.message;
      }
    };
    const input = this.field("A prompt of your own", prompt, act);
    return h("section", { class: "why trying" }, h("h2", {}, "Try it with your own prompt"),
      h("div", { class: "acts" }, input, this.button("Go on", act)), told, out);
  }

  // --- a fact, passed on ----------------------------------------------------------------------------

  /**
   * Where to go from a fact: its vector's ledger, the lens, the trace, a rewrite.
   * @param {{prompt: string, subject: string, object: string, token?: number, traced?: boolean}} fact
   */
  goingOn(fact) {
    if (!this.opens) return "";
    const { prompt, subject } = fact;
    const object = fact.object.trim();
    const about = { prompt, subject, start: "" };
    const template = () => {
      const place = prompt.lastIndexOf(subject);
      return `${prompt.slice(0, place)}{}${prompt.slice(place + subject.length)}`;
    };
    const rewrite = () => input.value.trim() && this.open("facts.edit", { subject, template: template(), object: input.value.trim(), start: "" });
    const input = this.field("What it is to say instead", "", rewrite);
    return h("section", { class: "why onward", "aria-label": "Go on from here" }, h("h2", {}, "Go on from here"),
      h("div", { class: "acts" },
        fact.traced ? "" : this.button("Trace it cell by cell", () => this.open("facts.trace", { ...about, object })),
        fact.traced ? this.button("Its card", () => this.open("facts.card", { ...about, object })) : "",
        this.button("What the last token is made of", () => this.open("ledger", { text: prompt, position: -1 })),
        this.button("The lens", () => this.open("lens", { text: prompt }))),
      h("div", { class: "acts" }, input, this.button("Preview the rewrite", rewrite)));
  }

  /** Show the ledger of one vector of a text. @param {string} text @param {number} position @param {number} layer */
  openVector(text, position, layer) {
    this.open("ledger", { text, position, at: `${layer}.resid_post` });
  }
}
