// Links to files of what is on the screen: `<export-menu><details>` with links to the export. They are
// right when the page comes; when one is followed it gets what the page shows by then: the stretch of
// the history page and, with the attribute `chart`, the series and the points that the chart drew.
"use strict";

customElements.define("export-menu", class extends HTMLElement {
  static most = 720;
  static least = 60;

  connectedCallback() {
    this.menu = this.querySelector("details");
    this.addEventListener("click", this);
    document.addEventListener("click", this);
    document.addEventListener("keydown", this);
  }

  disconnectedCallback() {
    this.removeEventListener("click", this);
    document.removeEventListener("click", this);
    document.removeEventListener("keydown", this);
  }

  handleEvent(event) {
    const link = event.target.closest?.("a");
    if (event.currentTarget === this) {
      if (link) this.address(link);
    } else if (event.type === "keydown") {
      if (event.key === "Escape") this.menu.open = false;
    } else if (link || !this.contains(event.target)) this.menu.open = false;
  }

  address(link) {
    const address = new URL(link.href);
    const asked = address.searchParams;
    const page = this.closest("history-range");
    const chart = this.hasAttribute("chart") ? this.closest(".chart").querySelector("time-chart, core-strip") : null;
    const span = page?.span;
    if (span) for (const [name, time] of Object.entries(span)) asked.set(name, Math.round(time));
    if (chart?.names?.length) {
      for (const name of ["core", "disk", "filesystem", "interface", "collector"]) asked.delete(name);
      asked.delete("field");
      for (const name of chart.names) asked.append("field", name);
      const { most, least } = this.constructor;
      asked.set("points", Math.min(most, Math.max(least, chart.room)));
    }
    link.href = address;
  }
});
