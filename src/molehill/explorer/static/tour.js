// @ts-check
/** The guided tour. */
import { h } from "./kit.js";

export class Tour {
  /** @param {HTMLElement} el @param {any} host */
  constructor(el, host) {
    el.replaceChildren(h("p", {}, "The tour."));
    this.host = host;
  }

  /** @param {string} _theme */
  setTheme(_theme) {}

  close() {}
}
