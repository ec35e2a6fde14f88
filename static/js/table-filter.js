// Shows only the rows of a table that contain what is typed: `<table-filter><input type="search">…<table>`.
"use strict";

customElements.define("table-filter", class extends HTMLElement {
  connectedCallback() {
    this.addEventListener("input", this);
  }

  disconnectedCallback() {
    this.removeEventListener("input", this);
  }

  handleEvent(event) {
    const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of this.querySelectorAll("tbody tr")) {
      const text = `${row.textContent} ${row.querySelector("[title]")?.title ?? ""}`.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  }
});
