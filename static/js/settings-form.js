// Says when a form could not be sent: what was typed stays in it. `<settings-form><p hidden>…<form>`
"use strict";

customElements.define("settings-form", class extends HTMLElement {
  static failures = ["htmx:sendError", "htmx:timeout", "htmx:responseError"];

  connectedCallback() {
    for (const type of ["htmx:afterSwap", ...this.constructor.failures]) this.addEventListener(type, this);
  }

  disconnectedCallback() {
    for (const type of ["htmx:afterSwap", ...this.constructor.failures]) this.removeEventListener(type, this);
  }

  handleEvent(event) {
    const note = this.querySelector(":scope > p");
    note.hidden = event.type === "htmx:afterSwap";
    if (note.hidden) return;
    note.textContent = event.detail.xhr?.status === 403
      ? "You may no longer change settings."
      : "PerfWatch does not answer. What you typed is still here: save again when it is back.";
  }
});
