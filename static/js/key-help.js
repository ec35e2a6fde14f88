// Keys of the page, and the dialog that lists them. What a key does is a link, or an event of the
// document: `perfwatch:pause`, `perfwatch:refresh`.
"use strict";

customElements.define("key-help", class extends HTMLElement {
  static events = { p: "pause", r: "refresh", "[": "earlier", "]": "later", "-": "zoom-out" };
  static pages = { d: "/", h: "/history/", s: "/settings/" };

  connectedCallback() {
    document.addEventListener("keydown", this);
  }

  disconnectedCallback() {
    document.removeEventListener("keydown", this);
  }

  handleEvent(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
    const page = this.going && this.constructor.pages[event.key];
    this.going = event.key === "g";
    if (page) document.querySelector(`.pages a[href="${page}"]`)?.click();
    else if (event.key === "?") this.querySelector("dialog").showModal();
    else if (event.key in this.constructor.events) {
      document.dispatchEvent(new CustomEvent(`perfwatch:${this.constructor.events[event.key]}`));
    }
  }
});
