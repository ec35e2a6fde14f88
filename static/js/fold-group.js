// A group of charts that folds; the browser remembers it: `<fold-group name="CPU"><details>`.
"use strict";

customElements.define("fold-group", class extends HTMLElement {
  connectedCallback() {
    this.key = `perfwatch-folded-${this.getAttribute("name")}`;
    this.details = this.querySelector("details");
    if (localStorage.getItem(this.key)) this.details.open = false;
    this.details.addEventListener("toggle", this);
  }

  disconnectedCallback() {
    this.details.removeEventListener("toggle", this);
  }

  handleEvent(event) {
    if (event.target !== this.details) return;
    if (this.details.open) localStorage.removeItem(this.key);
    else localStorage.setItem(this.key, "1");
  }
});
