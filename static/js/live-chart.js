// One chart of the live page, drawn by Chart.js from the points of the feed.
//
// Inside: a JSON description, a canvas and a legend whose items show the value under the pointer, or
// the newest one. Drawn when visible, and each chart in a task of its own.
"use strict";

(() => {
  const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 300, 600, 900, 1800, 3600];
  const TICKS = 5;
  const AXIS_WIDTH = 72;

  function digits(value) {
    const size = Math.abs(value);
    return value.toFixed(size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : 2);
  }

  // A number and its unit, by the same table as on the server.
  function text(value, { suffix, base, prefixes, factor }) {
    if (value === null || value === undefined) return "—";
    value *= factor;
    let steps = 0;
    while (base && Math.abs(value) >= base && steps < prefixes.length - 1) {
      value /= base;
      steps++;
    }
    return `${digits(value)} ${prefixes[steps]}${suffix}`.trim();
  }

  // Ticks of bytes stand at powers of two, others at 1, 2, 5 and their tens.
  function roundStep(range, scale) {
    const raw = range / TICKS;
    if (scale.base === 1024) return 2 ** Math.ceil(Math.log2(raw));
    const power = 10 ** Math.floor(Math.log10(raw));
    return power * [1, 2, 5, 10].find((factor) => factor * power >= raw);
  }

  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const exactClock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

  customElements.define("live-chart", class extends HTMLElement {
    connectedCallback() {
      this.about = JSON.parse(this.querySelector("script").textContent);
      this.outputs = [...this.querySelectorAll(".legend output")];
      document.addEventListener("perfwatch:points", this);
      document.addEventListener("perfwatch:theme", this);
      this.watcher = new IntersectionObserver((entries) => {
        this.visible = entries.at(-1).isIntersecting;
        if (this.visible) this.later();
      });
      this.watcher.observe(this);
      this.dispatchEvent(new CustomEvent("perfwatch:points-wanted", { bubbles: true, detail: this }));
    }

    disconnectedCallback() {
      document.removeEventListener("perfwatch:points", this);
      document.removeEventListener("perfwatch:theme", this);
      this.watcher.disconnect();
      clearTimeout(this.task);
      this.chart?.destroy();
      this.chart = undefined;
    }

    handleEvent(event) {
      if (event.type === "perfwatch:theme") {
        this.chart?.destroy();
        this.chart = undefined;
      } else {
        this.points = event.detail;
      }
      this.later();
    }

    draw(points) {
      this.points = points;
      this.later();
    }

    later() {
      if (!this.visible || !this.points) return;
      clearTimeout(this.task);
      this.task = setTimeout(() => this.update(), 0);
    }

    update() {
      const chart = (this.chart ??= this.create());
      const { points, about } = this;
      about.lines.forEach((line, index) => {
        const values = points.series[line.series] ?? [];
        chart.data.datasets[index].data = points.times.map((time, at) => {
          const value = values[at];
          return { x: time, y: value === null || value === undefined ? null : value * line.sign };
        });
      });
      chart.options.scales.x.min = points.from;
      chart.options.scales.x.max = points.to;
      chart.update("none");
      this.showValues(chart.getActiveElements()[0]?.index);
    }

    // The legend is the table of values: under the pointer, else the newest.
    showValues(index) {
      const at = index ?? this.points.times.length - 1;
      this.about.lines.forEach((line, number) => {
        this.outputs[number].textContent = text(this.points.series[line.series]?.[at] ?? null, this.about.scale);
      });
    }

    colour(name) {
      return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    }

    create() {
      const { about } = this;
      const muted = this.colour("muted");
      const line = this.colour("line");
      return new Chart(this.querySelector("canvas"), {
        type: "line",
        data: {
          datasets: about.lines.map((one) => {
            const colour = this.colour(one.colour);
            return {
              label: one.label,
              data: [],
              borderColor: colour,
              backgroundColor: `${colour}${about.stacked ? "b3" : "33"}`,
              fill: about.stacked || one.filled ? (about.stacked ? "stack" : "origin") : false,
              borderWidth: about.stacked ? 1 : 1.5,
            };
          }),
        },
        options: {
          animation: false,
          parsing: false,
          normalized: true,
          responsive: true,
          maintainAspectRatio: false,
          interaction: { mode: "index", intersect: false },
          onHover: (_, active) => this.showValues(active[0]?.index),
          elements: { point: { radius: 0, hoverRadius: 3 }, line: { tension: 0 } },
          scales: {
            x: {
              type: "linear",
              grid: { color: line },
              border: { display: false },
              ticks: { color: muted, maxRotation: 0, autoSkip: false, callback: (value) => clock.format(value) },
              afterBuildTicks: (axis) => {
                const wanted = (axis.max - axis.min) / 1000 / TICKS;
                const step = 1000 * (STEPS.find((seconds) => seconds >= wanted) ?? STEPS.at(-1));
                axis.ticks = [];
                for (let at = Math.ceil(axis.min / step) * step; at <= axis.max; at += step) axis.ticks.push({ value: at });
              },
            },
            y: {
              stacked: about.stacked,
              min: about.lines.some((one) => one.sign < 0) ? undefined : 0,
              max: about.maximum ?? undefined,
              // An idle host shows a calm line, not noise blown up to the full height.
              suggestedMax: about.maximum ? undefined : about.scale.base === 1024 ? 1024 : 1,
              grid: { color: line },
              border: { display: false },
              ticks: { color: muted, callback: (value) => text(Math.abs(value), about.scale) },
              afterBuildTicks: (axis) => {
                const step = about.maximum === 100 ? 25 : roundStep(axis.max - axis.min, about.scale);
                axis.ticks = [];
                for (let at = Math.ceil(axis.min / step) * step; at <= axis.max; at += step) axis.ticks.push({ value: at });
              },
              afterFit: (axis) => { axis.width = AXIS_WIDTH; },
            },
          },
          plugins: {
            legend: { display: false },
            tooltip: {
              backgroundColor: this.colour("card"),
              borderColor: line,
              borderWidth: 1,
              titleColor: this.colour("text"),
              bodyColor: this.colour("text"),
              callbacks: {
                title: (items) => exactClock.format(items[0].parsed.x),
                label: (item) => ` ${item.dataset.label} ${text(Math.abs(item.parsed.y), about.scale)}`,
              },
            },
          },
        },
      });
    }
  });
})();
