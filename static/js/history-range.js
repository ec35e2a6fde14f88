// The stretch that the history page shows, and the points of its charts: fetched from the series API
// for each chart when it becomes visible. The address holds the stretch, so Back undoes a zoom.
//
// Events: answers `perfwatch:points-wanted` by calling detail.draw; sends `perfwatch:range` to the
// document when the stretch is another one; takes `perfwatch:zoom` {from, to}, `perfwatch:chosen`
// {time, step} of a point, and what the keys do.
"use strict";

customElements.define("history-range", class extends HTMLElement {
  static keys = ["earlier", "later", "zoom-out", "refresh"].map((name) => `perfwatch:${name}`);
  static seconds = { "5s": 5, "10s": 10, "30s": 30, "1m": 60 };
  static units = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800, y: 31_536_000 };
  static together = 60;
  static most = 720;
  static least = 60;

  connectedCallback() {
    this.span = { from: Number(this.dataset.from), to: Number(this.dataset.to) };
    [this.start, this.end, this.rate, this.other] = ["from", "to", "refresh", "compare"].map((name) => this.querySelector(`[name=${name}]`));
    this.another = this.querySelector(".another input");
    // Only scripts can work out how long the other stretch has to be.
    Object.assign(this.other.querySelector("[value=another]"), { disabled: false, hidden: false });
    this.asked = { from: this.start.value, to: this.end.value };
    this.zooms = 0;
    this.requests = new Map();
    for (const type of ["perfwatch:points-wanted", "perfwatch:chosen", "click", "submit", "change", "dblclick", "htmx:afterSwap"]) this.addEventListener(type, this);
    for (const type of ["perfwatch:zoom", "keydown", "visibilitychange", ...this.constructor.keys]) document.addEventListener(type, this);
    window.addEventListener("popstate", this);
    this.querySelector(".zone").textContent = `Times in ${Intl.DateTimeFormat().resolvedOptions().timeZone}`;
    this.say();
    this.judge();
    this.rank();
    this.schedule();
  }

  disconnectedCallback() {
    clearTimeout(this.timer);
    this.forget();
    for (const type of ["perfwatch:zoom", "keydown", "visibilitychange", ...this.constructor.keys]) document.removeEventListener(type, this);
    window.removeEventListener("popstate", this);
  }

  handleEvent(event) {
    switch (event.type) {
      case "perfwatch:points-wanted":
        this.fetch(event.detail);
        break;
      case "perfwatch:chosen":
        this.lookAt(event.detail);
        break;
      case "perfwatch:zoom":
        this.go(Math.round(event.detail.from), Math.round(event.detail.to));
        break;
      case "click":
        this.press(event.target.closest("[data-do]")?.dataset.do);
        break;
      case "submit":
        this.start.value = this.written(this.start.value);
        this.end.value = this.written(this.end.value);
        // What is not chosen stays out of the address; the form is read in this task.
        for (const one of [this.rate, this.other]) {
          one.disabled = !one.value;
          setTimeout(() => { one.disabled = false; }, 0);
        }
        break;
      case "change":
        if (event.target === this.rate) this.keepRate();
        else if (event.target === this.other) this.compareWith(this.other.value);
        else if (event.target === this.another) this.compareFrom(this.written(this.another.value));
        break;
      case "dblclick":
        if (event.target.closest(".plot")) this.back();
        break;
      case "keydown":
        if (event.key === "Escape" && !event.target.closest("dialog, input, select")) this.back();
        break;
      case "popstate":
        this.zooms = history.state?.zooms ?? 0;
        this.read();
        break;
      case "visibilitychange":
        this.schedule();
        break;
      case "htmx:afterSwap":
        this.localTimes(event.target);
        break;
      default:
        this.press(event.type.split(":")[1]);
    }
  }

  press(what) {
    const { from, to } = this.span;
    const half = Math.round((to - from) / 2);
    if (what === "earlier") this.go(from - half, to - half);
    else if (what === "later") this.go(from + half, to + half);
    else if (what === "zoom-out") this.go(from - half, to + half);
    else if (what === "refresh") this.renew();
    else if (what === "close") this.querySelector("#moment .found").replaceChildren();
  }

  // Milliseconds of a time as addresses write it; without an offset it is UTC there. A plus may have
  // become a blank on the way.
  static resolve(written, now = Date.now()) {
    const text = written.trim().replace(/^now (?=\d)/, "now+").replace(/(:\d\d) (?=\d\d:?\d\d$)/, "$1+");
    const relative = text.match(/^now(?:([+-])(\d+)([smhdwy]))?$/);
    if (relative) return now + (relative[2] ? Number(`${relative[1]}${relative[2]}`) * this.units[relative[3]] * 1000 : 0);
    if (/^\d+$/.test(text)) return Number(text);
    return Date.parse(/([zZ]|[+-]\d\d:?\d\d)$/.test(text) || text.length <= 10 ? text : `${text.replace(" ", "T")}Z`);
  }

  // People type their own time, the address holds a moment.
  written(text) {
    const local = text.trim().match(/^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?))?$/);
    return local ? String(new Date(`${local[1]}T${local[2] ?? "00:00"}`).getTime()) : text.trim();
  }

  // A moment as people would type it.
  static typed(text) {
    if (text.startsWith("now") || !Number.isFinite(this.resolve(text))) return text;
    const at = new Date(this.resolve(text));
    const two = (number) => String(number).padStart(2, "0");
    const seconds = at.getSeconds() ? `:${two(at.getSeconds())}` : "";
    return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}${seconds}`;
  }

  say() {
    this.start.value = this.constructor.typed(this.asked.from);
    this.end.value = this.constructor.typed(this.asked.to);
  }

  // Shows another stretch, which a step back in the browser's history undoes.
  go(from, to) {
    const longest = Date.now() - Date.UTC(1970, 0, 2);
    if (to - from < 2000 || to - from > longest) return;
    this.zooms++;
    // There is nothing to see in the future.
    const ahead = Math.max(0, to - Math.max(Date.now(), this.span.to));
    [from, to] = [from - ahead, to - ahead];
    const address = new URL(location);
    address.searchParams.set("from", Math.max(from, 0));
    address.searchParams.set("to", to);
    // A stretch written out has the length of the one it was compared with, which is another one now.
    if (address.searchParams.get("compare")?.includes("..")) address.searchParams.delete("compare");
    history.pushState({ zooms: this.zooms }, "", address);
    this.read();
  }

  compareWith(what) {
    this.another.parentElement.hidden = what !== "another";
    if (what === "another") {
      this.another.focus();
      return;
    }
    const address = new URL(location);
    if (what) address.searchParams.set("compare", what);
    else address.searchParams.delete("compare");
    history.pushState({ zooms: ++this.zooms }, "", address);
    this.read();
  }

  // A stretch as long as the one that is shown.
  compareFrom(text) {
    const start = this.constructor.resolve(text);
    this.another.setCustomValidity(Number.isFinite(start) ? "" : "Write a time, such as 2026-01-31 08:00 or now-2d.");
    if (!this.another.reportValidity()) return;
    const { from, to } = this.span;
    this.compareWith(`${Math.round(start)}..${Math.round(start + to - from)}`);
  }

  // Shows what is compared; a stretch that was written out gets its own line in the list.
  sayCompared(what) {
    this.other.querySelector("[data-written]")?.remove();
    if (what.includes("..") && ![...this.other.options].some((option) => option.value === what)) {
      const option = new Option(`from ${this.constructor.typed(what.split("..")[0])}`, what);
      option.dataset.written = "";
      this.other.add(option);
    }
    this.other.value = what;
    this.another.parentElement.hidden = true;
  }

  // Which series changed most, of all that the page shows.
  rank() {
    const section = this.querySelector("#changes");
    if (this.other.value) {
      this.fill(section, this.dataset.changes, location.search);
    } else {
      this.requests.get(section)?.abort();
      section.replaceChildren();
    }
  }

  // What the CPUs did in the stretch.
  judge() {
    this.fill(this.querySelector("#verdict"), this.dataset.verdict);
  }

  // Asks for a part of the page about the stretch that is shown.
  async fill(section, path, search = "") {
    const address = new URL(path, location);
    address.search = search;
    for (const [name, time] of Object.entries(this.span)) address.searchParams.set(name, Math.round(time));
    // An answer that was asked for before would come into a page that shows something else.
    this.requests.get(section)?.abort();
    const request = new AbortController();
    this.requests.set(section, request);
    try {
      const response = await fetch(address, { signal: request.signal, headers: { "HX-Request": "true" } });
      if (response.headers.has("HX-Redirect")) this.logIn();
      section.innerHTML = response.ok ? await response.text() : "";
      this.localTimes(section);
    } catch (error) {
      // The charts say that the server does not answer.
      if (error.name !== "AbortError") section.replaceChildren();
    } finally {
      if (this.requests.get(section) === request) this.requests.delete(section);
    }
  }

  back() {
    if (this.zooms) history.back();
  }

  read() {
    const parameters = new URL(location).searchParams;
    this.asked = { from: parameters.get("from") || "now-24h", to: parameters.get("to") || "now" };
    this.sayCompared(parameters.get("compare") ?? "");
    for (const link of this.querySelectorAll(".ranges a")) {
      const { searchParams } = new URL(link.href);
      if (searchParams.get("from") === this.asked.from && this.asked.to === "now") link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    this.say();
    this.renew();
  }

  // Resolves the stretch anew and lets the charts ask again.
  renew() {
    // One clock for both, or an hour would last an hour and a moment.
    const now = Date.now();
    this.span = { from: this.constructor.resolve(this.asked.from, now), to: this.constructor.resolve(this.asked.to, now) };
    this.forget();
    document.dispatchEvent(new CustomEvent("perfwatch:range"));
    this.judge();
    this.rank();
    this.schedule();
  }

  forget() {
    for (const request of this.requests.values()) request.abort();
    this.requests.clear();
    this.boots = undefined;
  }

  keepRate() {
    const address = new URL(location);
    if (this.rate.value) address.searchParams.set("refresh", this.rate.value);
    else address.searchParams.delete("refresh");
    history.replaceState(history.state, "", address);
    this.schedule();
  }

  schedule() {
    clearTimeout(this.timer);
    const seconds = this.constructor.seconds[this.rate.value];
    if (seconds && !document.hidden && this.asked.to.startsWith("now")) this.timer = setTimeout(() => this.renew(), seconds * 1000);
  }

  // Points of a chart: as many as it has room for.
  async fetch(chart) {
    const { most, least } = this.constructor;
    this.requests.get(chart)?.abort();
    const request = new AbortController();
    this.requests.set(chart, request);
    if (!chart.names.length) {
      chart.draw({ times: [], series: {}, marks: [], samples: 0, ...this.span });
      return;
    }
    const room = Math.min(most, Math.max(least, chart.room));
    try {
      const [answer, marks] = await Promise.all([this.ask(chart.names, room, request.signal, this.other.value), this.reboots()]);
      const { this: shown = answer, other, offset } = answer;
      const points = this.points(shown, marks);
      if (other) points.other = { ...this.points(other), offset: offset * 1000 };
      chart.draw(points);
      this.tell(shown);
    } catch (error) {
      if (error.name !== "AbortError") chart.fail(error.message);
    } finally {
      if (this.requests.get(chart) === request) this.requests.delete(chart);
    }
  }

  // The answer of the API; many names need more than one question, for addresses have an end.
  async ask(names, points, signal, compare) {
    const parts = [];
    for (let at = 0; at < names.length; at += this.constructor.together) {
      parts.push(this.askFor(names.slice(at, at + this.constructor.together), points, signal, compare));
    }
    const [first, ...others] = await Promise.all(parts);
    for (const one of others) {
      Object.assign((first.this ?? first).series, (one.this ?? one).series);
      if (first.other) Object.assign(first.other.series, one.other.series);
    }
    return first;
  }

  async askFor(names, points, signal, compare) {
    const address = new URL(compare ? this.dataset.compare : this.dataset.api, location);
    for (const name of names) address.searchParams.append("field", name);
    address.searchParams.set("from", Math.round(this.span.from));
    address.searchParams.set("to", Math.round(this.span.to));
    address.searchParams.set("points", points);
    if (compare) address.searchParams.set("compare", compare);
    const response = await fetch(address, { signal, headers: { accept: "application/json" } });
    if (response.status === 401) this.logIn();
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error);
    return answer;
  }

  // Every chart learns that the session ended; one reload, which leads to the login, is enough.
  logIn() {
    if (!this.leaves) location.reload();
    this.leaves = true;
    throw new DOMException("the session has ended", "AbortError");
  }

  points({ start, step, points, series, interval, samples, complete }, marks) {
    const pick = (part) => Object.fromEntries(Object.entries(series).filter(([, one]) => one[part]).map(([name, one]) => [name, one[part]]));
    return {
      times: Array.from({ length: points }, (_, index) => start + index * step * 1000),
      series: pick("mean"),
      // A point of one sample hides nothing.
      low: step > interval ? pick("min") : {},
      high: step > interval ? pick("max") : {},
      statistics: pick("statistics"),
      ...this.span,
      step,
      samples,
      complete,
      marks,
    };
  }

  // Where the host's uptime began anew; asked once a stretch.
  reboots() {
    const name = "host.uptime_seconds";
    this.boots ??= this.ask([name], 300).then(({ start, step, series }) => {
      const found = [];
      let last = null;
      series[name].min.forEach((uptime, index) => {
        if (uptime === null) return;
        if (last !== null && uptime < last) found.push([start + index * step * 1000, "reboot"]);
        last = uptime;
      });
      return found;
    }, () => []);
    return this.boots;
  }

  tell({ step, coverage, samples, complete }) {
    const [size, unit] = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]].find(([seconds]) => step % seconds === 0);
    const missing = complete ? "" : "; part of it is still being summed up";
    const text = samples
      ? `${step / size} ${unit} per point, ${Math.round(coverage * 1000) / 10} % covered${missing}`
      : `No samples in this range${missing}`;
    this.querySelector(".resolution").textContent = text;
  }

  lookAt({ time, step }) {
    const section = this.querySelector("#moment");
    section.querySelector("[name=at]").value = time;
    section.querySelector("[name=step]").value = step;
    section.dispatchEvent(new CustomEvent("perfwatch:moment"));
  }

  localTimes(section) {
    const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
    for (const time of section.querySelectorAll("time")) time.textContent = format.format(new Date(time.dateTime));
  }
});
