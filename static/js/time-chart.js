// One chart over time, drawn by Chart.js. Holds a JSON description, a plot with a canvas, and a legend
// whose items are its lines and show the value under the crosshair, or the newest one.
//
// With `other` {times, series, offset in ms} in the points, these are drawn too, dashed, where they would
// be `offset` later.
//
// Asks with `perfwatch:points-wanted` for its points when it becomes visible, and is drawn when
// visible, in a task of its own. Points are {times, from, to, series, low?, high?, marks, missing}
// with times in ms; low and high make a band. Sends `perfwatch:crosshair` {time or null} to the
// document while the pointer is over it, and follows it. With the attribute `history` also
// `perfwatch:zoom` {from, to} when a stretch was dragged and `perfwatch:chosen` {time, step} when a
// point was clicked; it asks again after `perfwatch:range`, and fills its table from statistics.
"use strict";

(() => {
  const MINUTE = 60_000;
  const DAY = 86_400_000;
  const STEPS = [1000, 2000, 5000, 10_000, 15_000, 30_000, MINUTE, 2 * MINUTE, 3 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, 60 * MINUTE, 120 * MINUTE, 180 * MINUTE, 360 * MINUTE, 720 * MINUTE];
  const DAYS = [1, 2, 5, 7, 14, 30, 60, 90, 180];
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

  // Times at which people expect a tick: round ones on their own clock, also across a change to summer time.
  function timeTicks(from, to) {
    const wanted = (to - from) / TICKS;
    const step = STEPS.find((one) => one >= wanted);
    const ticks = [];
    if (step) {
      const offset = new Date(from).getTimezoneOffset() * MINUTE;
      for (let at = Math.ceil((from - offset) / step) * step + offset; at <= to; at += step) ticks.push({ value: at });
      return ticks;
    }
    const days = DAYS.find((one) => one * DAY >= wanted) ?? DAYS.at(-1);
    const day = new Date(from);
    day.setHours(24, 0, 0, 0);
    for (; day.getTime() <= to; day.setDate(day.getDate() + days)) ticks.push({ value: day.getTime() });
    return ticks;
  }

  // By hand: Intl, and whatever names the zone, load tables for which the first chart would wait.
  const two = (number) => String(number).padStart(2, "0");
  const clock = { format: (time) => [new Date(time).getHours(), new Date(time).getMinutes()].map(two).join(":") };
  const exactClock = { format: (time) => `${clock.format(time)}:${two(new Date(time).getSeconds())}` };
  const calendar = { format: (time) => new Date(time).toLocaleDateString(undefined, { day: "numeric", month: "short" }) };
  const moment = { format: (time) => new Date(time).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" }) };

  function tickText(time, span) {
    if (span < 5 * MINUTE) return exactClock.format(time);
    const date = new Date(time);
    const midnight = !date.getHours() && !date.getMinutes();
    return span > DAY / 2 && midnight ? calendar.format(time) : clock.format(time);
  }

  function nearest(times, time) {
    let low = 0;
    let high = times.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (times[middle] < time) low = middle;
      else high = middle;
    }
    return high >= 0 && Math.abs(times[high] - time) < Math.abs(times[low] - time) ? high : low;
  }

  // Dashed lines where the host rebooted or the interval changed, with what happened.
  const marks = {
    id: "marks",
    afterDatasetsDraw({ ctx, chartArea: { top, bottom, left, right }, scales: { x } }, _, { element }) {
      ctx.save();
      ctx.strokeStyle = ctx.fillStyle = element.colour("muted");
      ctx.setLineDash([4, 3]);
      ctx.font = "11px system-ui, sans-serif";
      ctx.textBaseline = "top";
      const written = [];
      for (const [time, what] of element.points.marks ?? []) {
        const at = x.getPixelForValue(time);
        if (at < left || at > right) continue;
        ctx.beginPath();
        ctx.moveTo(at, top);
        ctx.lineTo(at, bottom);
        ctx.stroke();
        // The words stand on a ground of their own, below those that they would hide.
        const width = ctx.measureText(what).width;
        const start = at > (left + right) / 2 ? at - 4 - width : at + 4;
        const row = written.filter((one) => one.start < start + width + 4 && start < one.end + 4).length;
        written.push({ start, end: start + width });
        ctx.fillStyle = element.colour("card");
        ctx.fillRect(start - 2, top + 1 + row * 14, width + 4, 13);
        ctx.fillStyle = element.colour("muted");
        ctx.fillText(what, start, top + 2 + row * 14);
      }
      ctx.restore();
    },
  };

  customElements.define("time-chart", class extends HTMLElement {
    connectedCallback() {
      this.about = JSON.parse(this.querySelector("script").textContent);
      this.plot = this.querySelector(".plot");
      this.lines = [...this.querySelectorAll(".legend li")].map((item) => ({
        series: item.dataset.series,
        label: item.querySelector("span").textContent || this.closest(".chart").querySelector("h3").textContent,
        colour: item.dataset.colour,
        sign: "mirrored" in item.dataset ? -1 : 1,
        filled: "filled" in item.dataset,
        dashed: "dashed" in item.dataset,
        output: item.querySelector("output"),
      }));
      this.crosshair = this.plot.appendChild(document.createElement("div"));
      this.crosshair.className = "crosshair";
      this.crosshair.hidden = true;
      this.nothing = this.plot.appendChild(document.createElement("p"));
      this.nothing.className = "nothing";
      this.nothing.hidden = true;
      for (const type of ["perfwatch:points", "perfwatch:theme", "perfwatch:crosshair", "perfwatch:range"]) document.addEventListener(type, this);
      for (const type of ["pointermove", "pointerleave", "click"]) this.plot.addEventListener(type, this);
      this.watcher = new IntersectionObserver((entries) => this.see(entries.at(-1).isIntersecting), { rootMargin: "50px" });
      this.watcher.observe(this);
    }

    disconnectedCallback() {
      for (const type of ["perfwatch:points", "perfwatch:theme", "perfwatch:crosshair", "perfwatch:range"]) document.removeEventListener(type, this);
      this.watcher.disconnect();
      clearTimeout(this.task);
      this.forget();
    }

    handleEvent(event) {
      switch (event.type) {
        case "perfwatch:points":
          this.draw(event.detail);
          break;
        case "perfwatch:theme":
          this.forget();
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
        case "click":
          this.choose();
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

    // How many points there is room for, and of which series.
    get room() {
      return Math.round(this.plot.clientWidth / 2);
    }

    get names() {
      const names = this.lines.map((line) => line.series);
      return this.about.certainty ? [...names, this.about.certainty] : names;
    }

    fail(message) {
      this.nothing.hidden = false;
      this.nothing.textContent = message;
    }

    draw(points) {
      this.stale = false;
      this.points = points;
      this.later();
    }

    later() {
      if (!this.visible || !this.points) return;
      clearTimeout(this.task);
      this.task = setTimeout(() => this.update(), 0);
    }

    forget() {
      this.chart?.destroy();
      this.chart = undefined;
    }

    update() {
      const { points } = this;
      const banded = !this.about.stacked && this.lines.some((line) => points.low?.[line.series]);
      const compared = Boolean(points.other);
      if (this.chart && (banded !== this.banded || compared !== this.compared)) this.forget();
      this.banded = banded;
      this.compared = compared;
      // A chart that is made with its data is laid out and drawn once instead of twice.
      const chart = this.chart ?? this.described();
      const sums = this.about.stacked ? new Array(points.times.length).fill(0) : undefined;
      this.lines.forEach((line, index) => {
        const values = points.series[line.series];
        const place = banded ? index * 3 : index;
        chart.data.datasets[place].data = sums ? this.onTop(sums, values) : this.column(line, values);
        if (!banded) return;
        // Points that are not a summary have no band: its edges meet on the line.
        chart.data.datasets[place + 1].data = this.column(line, points.low[line.series], values);
        chart.data.datasets[place + 2].data = this.column(line, points.high[line.series], values);
      });
      if (compared) this.compare(chart);
      if (this.about.certainty) this.querySelector(".estimated").hidden = !points.times.some((_, at) => this.isEstimate(at));
      // A line of one point is none. In the mode "none" Chart.js keeps the radius that it had.
      const alone = points.times.length === 1;
      const mode = alone || this.alone ? undefined : "none";
      this.alone = alone;
      chart.options.elements.point.radius = alone ? 2 : 0;
      chart.options.scales.x.min = points.from;
      chart.options.scales.x.max = points.to;
      if (this.chart) chart.update(mode);
      else this.chart = new Chart(this.querySelector("canvas"), chart);
      this.sayNothing();
      this.point(this.time ?? null);
      this.tabulate();
    }

    // Counted for less than half of the time.
    isEstimate(index) {
      const certainty = this.points.series[this.about.certainty]?.[index] ?? null;
      return certainty !== null && certainty < 50;
    }

    tabulate() {
      const body = this.querySelector("tbody");
      if (!body) return;
      const statistics = this.points.statistics ?? {};
      body.replaceChildren(...this.lines.map((line) => {
        const row = document.createElement("tr");
        const head = row.appendChild(document.createElement("th"));
        head.scope = "row";
        head.textContent = line.label;
        for (const name of ["min", "mean", "p95", "max", "last"]) {
          row.insertCell().textContent = text(statistics[line.series]?.[name], this.about.scale);
        }
        return row;
      }));
    }

    // A click that ends a drag is none.
    choose() {
      if (!this.hasAttribute("history") || this.time === null || this.time === undefined || this.dragged) {
        this.dragged = false;
        return;
      }
      const { times, step } = this.points;
      this.dispatchEvent(new CustomEvent("perfwatch:chosen", { bubbles: true, detail: { time: times[nearest(times, this.time)], step } }));
    }

    zoomed({ scales: { x } }) {
      this.dragged = true;
      document.dispatchEvent(new CustomEvent("perfwatch:zoom", { detail: { from: x.min, to: x.max } }));
    }

    column({ sign }, values, instead) {
      return this.points.times.map((time, at) => {
        const value = values?.[at] ?? instead?.[at] ?? null;
        return { x: time, y: value === null ? null : value * sign };
      });
    }

    compare(chart) {
      const { times, series, offset } = this.points.other;
      const sums = this.about.stacked ? new Array(times.length).fill(0) : undefined;
      const first = this.lines.length * (this.banded ? 3 : 1);
      this.lines.forEach(({ series: name, sign }, index) => {
        const values = series[name];
        chart.data.datasets[first + index].data = times.map((time, at) => {
          const value = values?.[at] ?? null;
          const y = value === null ? null : sums ? (sums[at] += value) : value * sign;
          return { x: time + offset, y };
        });
      });
    }

    // Chart.js can stack too, but keeps a sum for each time it ever saw: the page would grow for ever.
    onTop(sums, values) {
      return this.points.times.map((time, at) => {
        const value = values?.[at] ?? null;
        return { x: time, y: value === null ? null : (sums[at] += value) };
      });
    }

    sayNothing() {
      const { points, lines } = this;
      const something = lines.some((line) => points.series[line.series]?.some((value) => value !== null));
      this.nothing.hidden = something;
      if (something) return;
      const collector = lines[0]?.series.split(".")[0];
      this.nothing.textContent = points.missing?.[collector] ?? this.emptiness(points);
    }

    emptiness({ times, samples, complete }) {
      if (complete === false) return "Still being summed up";
      return times.length && samples !== 0 ? "Nothing measured in this range" : "No samples in this range";
    }

    // The pointer is at a time: all charts of the page show what was then.
    aim(event) {
      if (!this.chart || !this.points.times.length) return;
      const { left, right } = this.chart.chartArea;
      const x = event.clientX - this.plot.getBoundingClientRect().left;
      const detail = x < left || x > right ? null : this.chart.scales.x.getValueForPixel(x);
      document.dispatchEvent(new CustomEvent("perfwatch:crosshair", { detail }));
    }

    // The last point, or the one before it where that has only just begun.
    get newest() {
      const last = this.points.times.length - 1;
      const known = this.lines.some(({ series }) => (this.points.series[series]?.[last] ?? null) !== null);
      return known || last < 1 ? last : last - 1;
    }

    // The legend is the table of values: under the crosshair, else the newest.
    point(time) {
      this.time = time;
      if (!this.visible || !this.chart) return;
      const { points } = this;
      const index = time === null ? this.newest : nearest(points.times, time);
      const then = points.other?.times.length ? nearest(points.other.times, points.times[index] - points.other.offset) : undefined;
      for (const { series, output } of this.lines) {
        const value = points.series[series]?.[index] ?? null;
        const [low, high] = [points.low?.[series]?.[index] ?? value, points.high?.[series]?.[index] ?? value];
        output.textContent = text(value, this.about.scale);
        if (then !== undefined) output.textContent += ` (was ${text(points.other.series[series]?.[then] ?? null, this.about.scale)})`;
        output.title = low === high ? "" : `${text(low, this.about.scale)} to ${text(high, this.about.scale)}`;
      }
      const at = points.times[index];
      this.crosshair.hidden = time === null || at === undefined || at < points.from || at > points.to;
      if (this.crosshair.hidden) return;
      const x = this.chart.scales.x.getPixelForValue(at);
      this.crosshair.style.transform = `translateX(${x}px)`;
      this.crosshair.dataset.time = points.to - points.from > DAY / 2 ? moment.format(at) : exactClock.format(at);
      if (then !== undefined) this.crosshair.dataset.time = `${moment.format(at)} · was ${moment.format(points.other.times[then])}`;
      this.crosshair.classList.toggle("left", x > this.plot.clientWidth / 2);
    }

    colour(name) {
      this.style_ ??= getComputedStyle(document.documentElement);
      return this.style_.getPropertyValue(`--${name}`).trim();
    }

    datasets() {
      const { stacked } = this.about;
      const others = this.lines.map((line) => ({ data: [], borderColor: this.colour(line.colour), borderWidth: 1.25, borderDash: [5, 4], fill: false }));
      const drawn = this.lines.flatMap((line, index) => {
        const colour = this.colour(line.colour);
        const drawn = {
          data: [],
          borderColor: colour,
          backgroundColor: `${colour}${stacked ? "b3" : "33"}`,
          fill: stacked && index ? "-1" : stacked || (line.filled && !this.banded) ? "origin" : false,
          borderWidth: stacked ? 1 : 1.5,
          borderDash: line.dashed ? [5, 3] : [],
        };
        if (this.about.certainty) drawn.segment = { borderDash: ({ p1DataIndex }) => (this.isEstimate(p1DataIndex) ? [1, 3] : undefined) };
        if (!this.banded) return [drawn];
        const edge = { data: [], borderWidth: 0, backgroundColor: `${colour}33`, fill: false };
        return [drawn, edge, { ...edge, fill: "-1" }];
      });
      return this.compared ? [...drawn, ...others] : drawn;
    }

    zooming() {
      if (!this.hasAttribute("history")) return {};
      const drag = { enabled: true, threshold: 6, backgroundColor: `${this.colour("accent")}33` };
      return { zoom: { zoom: { mode: "x", drag, onZoomComplete: ({ chart }) => this.zoomed(chart) } } };
    }

    described() {
      const { about } = this;
      this.style_ = undefined;
      const muted = this.colour("muted");
      const line = this.colour("line");
      return {
        type: "line",
        data: { datasets: this.datasets() },
        plugins: [marks],
        options: {
          animation: false,
          parsing: false,
          normalized: true,
          responsive: true,
          maintainAspectRatio: false,
          events: [],
          layout: { padding: { right: 10 } },
          font: { family: "system-ui, sans-serif", size: 12 },
          elements: { point: { radius: 0 }, line: { tension: 0 } },
          scales: {
            x: {
              type: "linear",
              grid: { color: line },
              border: { display: false },
              ticks: { color: muted, maxRotation: 0, autoSkip: true, autoSkipPadding: 12, callback: (value) => tickText(value, this.points.to - this.points.from) },
              afterBuildTicks: (axis) => { axis.ticks = timeTicks(axis.min, axis.max); },
            },
            y: {
              min: this.lines.some((one) => one.sign < 0) ? undefined : 0,
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
          plugins: { legend: { display: false }, tooltip: { enabled: false }, marks: { element: this }, ...this.zooming() },
        },
      };
    }
  });
})();
