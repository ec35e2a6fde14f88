// A chart as a picture: `<chart-image name="cpu"><button>` saves the chart around it as PNG, with its
// title, the stretch of time, and what its colours mean. Made here of the canvas; nothing is sent.
"use strict";

customElements.define("chart-image", class extends HTMLElement {
  static margin = 16;
  static row = 20;
  static format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });

  connectedCallback() {
    this.button = this.querySelector("button");
    this.button.addEventListener("click", this);
  }

  disconnectedCallback() {
    this.button.removeEventListener("click", this);
  }

  handleEvent() {
    this.picture().toBlob((blob) => this.save(blob), "image/png");
  }

  get chart() {
    return this.closest(".chart").querySelector("time-chart, core-strip");
  }

  // [colour, whether dashed, words] of each line; a strip has none.
  get legend() {
    const items = [...this.chart.querySelectorAll(".legend li")].map((item) => {
      const swatch = item.querySelector(".swatch");
      const colour = getComputedStyle(swatch).getPropertyValue("--ink").trim();
      return [colour, swatch.classList.contains("dashed"), item.querySelector("span").textContent];
    });
    return items.filter(([, , words]) => words);
  }

  picture() {
    const { margin, row, format } = this.constructor;
    const drawn = this.chart.querySelector("canvas");
    const density = drawn.width / drawn.clientWidth;
    const width = drawn.clientWidth + 2 * margin;
    const style = getComputedStyle(document.documentElement);
    const [ground, text, muted] = ["--card", "--text", "--muted"].map((name) => style.getPropertyValue(name).trim());
    const picture = document.createElement("canvas");
    const pen = picture.getContext("2d");
    pen.font = "12px system-ui, sans-serif";
    const lines = this.broken(pen, width - 2 * margin);
    const top = margin + 2 * row;
    const height = top + drawn.clientHeight + row * lines.length + margin;
    picture.width = Math.round(width * density);
    picture.height = Math.round(height * density);
    pen.scale(density, density);
    pen.fillStyle = ground;
    pen.fillRect(0, 0, width, height);
    pen.textBaseline = "top";
    pen.fillStyle = text;
    pen.font = "600 14px system-ui, sans-serif";
    pen.fillText(this.closest(".chart").querySelector("h3").textContent, margin, margin);
    pen.fillStyle = muted;
    pen.font = "12px system-ui, sans-serif";
    const { from, to } = this.chart.points ?? {};
    const zone = format.resolvedOptions().timeZone;
    if (from) pen.fillText(`${format.format(from)} – ${format.format(to)} (${zone})`, margin, margin + row, width - 2 * margin);
    pen.drawImage(drawn, margin, top, drawn.clientWidth, drawn.clientHeight);
    lines.forEach((line, number) => {
      const y = top + drawn.clientHeight + number * row + 6;
      for (const { x, colour, dashed, words } of line) {
        pen.fillStyle = colour;
        for (const at of dashed ? [0, 5] : [0]) pen.fillRect(x + at, y + 2, dashed ? 3 : 10, 10);
        pen.fillStyle = muted;
        pen.fillText(words, x + 14, y);
      }
    });
    return picture;
  }

  // The legend in lines that are no wider than the picture.
  broken(pen, width) {
    const { margin } = this.constructor;
    const lines = [];
    let x = Infinity;
    for (const [colour, dashed, words] of this.legend) {
      const size = 14 + pen.measureText(words).width + 14;
      if (x + size > width && x > 0) {
        lines.push([]);
        x = 0;
      }
      lines.at(-1).push({ x: margin + x, colour, dashed, words });
      x += size;
    }
    return lines;
  }

  save(blob) {
    const link = document.createElement("a");
    const from = this.chart.points?.from;
    const stamp = from ? `-${new Date(from).toISOString().slice(0, 19).replace(/[-:]/g, "")}Z` : "";
    link.href = URL.createObjectURL(blob);
    link.download = `perfwatch-${this.getAttribute("name")}${stamp}.png`;
    link.click();
    // The download reads it later than this task.
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    this.closest("details").open = false;
  }
});
