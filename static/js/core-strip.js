// A strip with a row for each CPU, the darker the higher up to `maximum`:
// `<core-strip series="cpu.per_core.*" maximum="100" unit="%">`.
//
// Takes the same points and follows the same crosshair as <time-chart>; its legend names the highest.
// On the history page `data-names` are the series to ask for.
"use strict";

customElements.define("core-strip", class extends HTMLElement {
  static left = 72;
  static right = 10;
  static bottom = 22;
  static named = 6;

  connectedCallback() {
    [this.head, this.tail] = this.getAttribute("series").split("*");
    this.maximum = Number(this.getAttribute("maximum"));
    this.unit = this.getAttribute("unit");
    this.canvas = this.querySelector("canvas");
    this.plot = this.querySelector(".plot");
    this.legend = this.querySelector(".legend");
    this.crosshair = this.plot.appendChild(document.createElement("div"));
    this.crosshair.className = "crosshair";
    this.crosshair.hidden = true;
    for (const type of ["perfwatch:points", "perfwatch:theme", "perfwatch:crosshair", "perfwatch:range"]) document.addEventListener(type, this);
    for (const type of ["pointermove", "pointerleave"]) this.plot.addEventListener(type, this);
    this.watcher = new IntersectionObserver((entries) => this.see(entries.at(-1).isIntersecting));
    this.watcher.observe(this);
    this.sizes = new ResizeObserver(() => this.later());
    this.sizes.observe(this.plot);
  }

  disconnectedCallback() {
    for (const type of ["perfwatch:points", "perfwatch:theme", "perfwatch:crosshair", "perfwatch:range"]) document.removeEventListener(type, this);
    this.watcher.disconnect();
    this.sizes.disconnect();
    clearTimeout(this.task);
  }

  handleEvent(event) {
    switch (event.type) {
      case "perfwatch:points":
        this.draw(event.detail);
        break;
      case "perfwatch:theme":
        this.later();
        break;
      case "perfwatch:crosshair":
        this.point(event.detail);
        break;
      case "perfwatch:range":
        this.stale = true;
        if (this.visible) this.want();
        break;
      case "pointermove":
        this.aim(event);
        break;
      default:
        document.dispatchEvent(new CustomEvent("perfwatch:crosshair", { detail: null }));
    }
  }

  see(visible) {
    this.visible = visible;
    if (!visible) return;
    if (this.points && !this.stale) this.later();
    else this.want();
  }

  want() {
    this.dispatchEvent(new CustomEvent("perfwatch:points-wanted", { bubbles: true, detail: this }));
  }

  get names() {
    return this.dataset.names.trim().split(" ").filter(Boolean);
  }

  // Many rows are low, and need fewer points.
  get room() {
    return Math.round(Math.min(this.plot.clientWidth / 2, 2400 / Math.max(1, this.names.length)));
  }

  fail(message) {
    this.legend.textContent = message;
  }

  draw(points) {
    this.stale = false;
    this.points = points;
    this.later();
  }

  later() {
    if (!this.visible || !this.points) return;
    clearTimeout(this.task);
    this.task = setTimeout(() => this.paint(), 0);
  }

  // [number of the CPU, its values], in their order.
  get cores() {
    return Object.entries(this.points.series)
      .filter(([name]) => name.startsWith(this.head) && name.endsWith(this.tail))
      .map(([name, values]) => [Number(name.slice(this.head.length, name.length - this.tail.length)), values])
      .sort(([one], [other]) => one - other);
  }

  text(value) {
    return this.unit ? `${Math.round(value)}\u00a0${this.unit}` : value.toFixed(2);
  }

  x(time) {
    const { from, to } = this.points;
    return this.constructor.left + ((time - from) / (to - from)) * (this.plot.clientWidth - this.constructor.left - this.constructor.right);
  }

  paint() {
    const { cores, canvas, plot, points: { times, from } } = this;
    const { left, right, bottom } = this.constructor;
    // Every CPU has a line of pixels.
    plot.style.height = "";
    if (cores.length > plot.clientHeight - bottom) plot.style.height = `${cores.length + bottom}px`;
    const density = window.devicePixelRatio || 1;
    const [width, height] = [plot.clientWidth, plot.clientHeight];
    canvas.width = width * density;
    canvas.height = height * density;
    const style = getComputedStyle(this);
    const pen = canvas.getContext("2d");
    pen.scale(density, density);
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    const row = cores.length ? (height - bottom) / cores.length : 0;
    const gap = row > 6 ? 1 : 0;
    const [ink, muted, grid] = ["--blue", "--muted", "--line"].map((name) => style.getPropertyValue(name).trim());
    const named = Math.max(1, Math.ceil(16 / (row || 1)));
    pen.fillStyle = muted;
    cores.forEach(([number], place) => {
      if (place % named === 0) pen.fillText(`CPU ${number}`, left - 8, place * row + Math.max(row, 12) / 2);
    });
    this.shade(pen, cores, ink, row * cores.length, density);
    if (gap) {
      for (let place = 1; place <= cores.length; place++) pen.clearRect(left, place * row - gap, width - left - right, gap);
    }
    pen.fillStyle = grid;
    pen.fillRect(left, height - bottom, width - left - right, 1);
    this.point(this.time ?? null);
  }

  // A picture with a pixel for each sample of each CPU, stretched: a rectangle for each would take
  // half a second where there are hundreds of CPUs.
  shade(pen, cores, ink, height, density) {
    const { times, from } = this.points;
    if (!times.length || !cores.length) return;
    const picture = new ImageData(times.length, cores.length);
    const pixels = new Uint32Array(picture.data.buffer);
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(ink.slice(at, at + 2), 16));
    const little = (blue << 16) | (green << 8) | red;
    cores.forEach(([, values], place) => {
      for (let at = 0; at < times.length; at++) {
        const value = values[at] ?? null;
        // Even an idle CPU that was measured differs from one that was not.
        if (value !== null) pixels[place * times.length + at] = ((15 + 240 * Math.min(1, value / this.maximum)) << 24) | little;
      }
    });
    const source = (this.source ??= document.createElement("canvas"));
    [source.width, source.height] = [times.length, cores.length];
    source.getContext("2d").putImageData(picture, 0, 0);
    pen.imageSmoothingEnabled = false;
    const empty = (at) => cores.every(([, values]) => (values[at] ?? null) === null);
    times.forEach((time, at) => {
      if (time < from) return;
      const before = at && !empty(at - 1) ? times[at - 1] : time - (times[at + 1] - time || 1000);
      const [start, end] = [Math.max(from, before), time].map((one) => Math.round(this.x(one) * density) / density);
      const width = at ? end - start : Math.max(end - start, 2);
      if (width > 0) pen.drawImage(source, at, 0, 1, cores.length, end - width, 0, width, height);
    });
  }

  aim(event) {
    if (!this.points?.times.length) return;
    const box = this.plot.getBoundingClientRect();
    const share = (event.clientX - box.left - this.constructor.left) / (box.width - this.constructor.left - this.constructor.right);
    const { from, to } = this.points;
    const detail = share < 0 || share > 1 ? null : from + share * (to - from);
    document.dispatchEvent(new CustomEvent("perfwatch:crosshair", { detail }));
  }

  point(time) {
    this.time = time;
    if (!this.visible || !this.points) return;
    const { times, from, to } = this.points;
    let index = times.length - 1;
    if (time === null) {
      // The last one may only just have begun.
      if (index > 0 && this.cores.every(([, values]) => (values[index] ?? null) === null)) index--;
    } else {
      while (index > 0 && Math.abs(times[index - 1] - time) <= Math.abs(times[index] - time)) index--;
    }
    const known = this.cores.filter(([, values]) => (values[index] ?? null) !== null);
    const busiest = known.sort(([, one], [, other]) => other[index] - one[index]).slice(0, this.constructor.named);
    this.legend.textContent = busiest.length
      ? busiest.map(([number, values]) => `CPU\u00a0${number}\u00a0${this.text(values[index])}`).join("   ")
      : times.length ? "—" : "No samples in this range";
    this.crosshair.hidden = time === null || !times.length || times[index] < from || times[index] > to;
    if (this.crosshair.hidden) return;
    const x = this.x(times[index]);
    this.crosshair.style.transform = `translateX(${x}px)`;
    this.crosshair.dataset.time = new Date(times[index]).toTimeString().slice(0, 8);
    this.crosshair.classList.toggle("left", x > this.plot.clientWidth / 2);
  }
});
