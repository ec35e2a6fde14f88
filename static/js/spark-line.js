// The last minutes of one series, small: `<spark-line series="cpu.usage_percent"><canvas>`.
"use strict";

customElements.define("spark-line", class extends HTMLElement {
  connectedCallback() {
    this.canvas = this.querySelector("canvas");
    document.addEventListener("perfwatch:points", this);
    document.addEventListener("perfwatch:theme", this);
    this.dispatchEvent(new CustomEvent("perfwatch:points-wanted", { bubbles: true, detail: this }));
  }

  disconnectedCallback() {
    document.removeEventListener("perfwatch:points", this);
    document.removeEventListener("perfwatch:theme", this);
    cancelAnimationFrame(this.frame);
  }

  handleEvent(event) {
    this.draw(event.detail ?? this.points);
  }

  draw(points) {
    if (!points) return;
    this.points = points;
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.paint(points));
  }

  paint(points) {
    const values = points.series[this.getAttribute("series")] ?? [];
    const { canvas } = this;
    const density = window.devicePixelRatio || 1;
    const width = (canvas.width = canvas.clientWidth * density);
    const height = (canvas.height = canvas.clientHeight * density);
    const known = values.filter((value) => value !== null);
    if (!known.length || !width) return;
    const top = Math.max(...known) || 1;
    const bottom = Math.min(...known, 0);
    const x = (time) => ((time - points.from) / (points.to - points.from)) * width;
    const y = (value) => height - density - ((value - bottom) / (top - bottom || 1)) * (height - 2 * density);
    const pen = canvas.getContext("2d");
    pen.strokeStyle = getComputedStyle(this).color;
    pen.lineWidth = 1.25 * density;
    pen.beginPath();
    let drawing = false;
    values.forEach((value, index) => {
      if (value === null) {
        drawing = false;
        return;
      }
      pen[drawing ? "lineTo" : "moveTo"](x(points.times[index]), y(value));
      drawing = true;
    });
    pen.stroke();
  }
});
