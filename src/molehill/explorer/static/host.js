// @ts-check
/**
 * What a view is given as its model: the same few calls that a notebook's widget has.
 *
 * `get`: data, state (the view's part of the address), theme, asks, opens, edits, catalogue.
 * `send`: ask and cancel a question, open another view, set the edits.
 */

import { asked } from "./server.js";

export class HostModel {
  /**
   * @param {Record<string, any>} held
   * @param {{saved: (changed: Record<string, any>) => void, open: (question: string, inputs: any) => void,
   *   edits: (edits: string[]) => void, filled: (question: string, inputs: any) => any}} acts
   */
  constructor(held, acts) {
    this.held = { asks: true, opens: true, ...held };
    this.acts = acts;
    /** @type {Record<string, any>} */
    this.changed = {};
    /** @type {Map<string, Set<Function>>} */
    this.heard = new Map();
    /** @type {Map<string, AbortController>} */
    this.asking = new Map();
  }

  /** @param {string} name */
  get(name) {
    return this.held[name];
  }

  /** @param {string} name @param {any} value */
  set(name, value) {
    this.held[name] = value;
    this.changed[name] = value;
  }

  save_changes() {
    const { changed } = this;
    this.changed = {};
    this.acts.saved(changed);
  }

  /** Set by the host: the view hears of it. @param {string} name @param {any} value */
  put(name, value) {
    this.held[name] = value;
    this.fire(`change:${name}`);
  }

  /** @param {string} event @param {Function} act */
  on(event, act) {
    if (!this.heard.has(event)) this.heard.set(event, new Set());
    this.heard.get(event)?.add(act);
  }

  /** @param {string} event @param {Function} act */
  off(event, act) {
    this.heard.get(event)?.delete(act);
  }

  /** @param {string} event @param {...any} given */
  fire(event, ...given) {
    for (const act of [...(this.heard.get(event) ?? [])]) act(...given);
  }

  /** @param {any} message */
  send(message) {
    if (message.kind === "ask") this.ask(message);
    else if (message.kind === "cancel") this.asking.get(message.id)?.abort();
    else if (message.kind === "open") this.acts.open(message.question, message.inputs);
    else if (message.kind === "edits") this.acts.edits(message.edits);
  }

  /** @param {{id: string, question: string, inputs: any, fresh?: boolean}} message */
  async ask({ id, question, inputs, fresh }) {
    const stop = new AbortController();
    this.asking.set(id, stop);
    const tell = (told) => this.fire("msg:custom", { ...told, id });
    try {
      const data = await asked(question, this.acts.filled(question, inputs), {
        signal: stop.signal, fresh,
        onProgress: (told) => tell({ ...told, kind: "progress" }),
      });
      tell({ kind: "answer", data });
    } catch (error) {
      if (!stop.signal.aborted) tell({ kind: "error", message: error.message });
    } finally {
      this.asking.delete(id);
    }
  }

  /** End every question that is still open. */
  close() {
    for (const stop of this.asking.values()) stop.abort();
  }
}
