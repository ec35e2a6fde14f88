// The one clock of the live page, and the points that its charts draw.
//
// Events: sends `perfwatch:poll` to the fragment, `perfwatch:points` {points} to the document after
// each answer; answers `perfwatch:points-wanted` of elements by calling detail.draw. `perfwatch:pause`
// and `perfwatch:refresh` of the document do what the button and a poll do.
"use strict";

function clockOf(time) {
  const at = new Date(time);
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map((one) => String(one).padStart(2, "0")).join(":");
}

customElements.define("live-feed", class extends HTMLElement {
  static seconds = { off: 0, "5s": 5, "10s": 10, "30s": 30, "1m": 60 };
  static failures = ["htmx:sendError", "htmx:responseError", "htmx:timeout"];

  connectedCallback() {
    this.fragment = this.querySelector("#now");
    this.rate = this.querySelector("[name=refresh]");
    this.button = this.querySelector(".pause");
    this.points = { times: [], series: {}, low: {}, high: {}, marks: [] };
    this.take();
    // After the charts: the first question for a zone takes 20 ms.
    requestIdleCallback(() => this.nameZone());
    for (const type of ["htmx:afterSwap", "change", "click", "perfwatch:points-wanted", ...this.constructor.failures]) {
      this.addEventListener(type, this);
    }
    for (const type of ["visibilitychange", "perfwatch:pause", "perfwatch:refresh"]) document.addEventListener(type, this);
    this.schedule();
  }

  disconnectedCallback() {
    clearTimeout(this.timer);
    for (const type of ["visibilitychange", "perfwatch:pause", "perfwatch:refresh"]) document.removeEventListener(type, this);
  }

  handleEvent(event) {
    switch (event.type) {
      case "perfwatch:points-wanted":
        event.detail.draw(this.points);
        break;
      case "htmx:afterSwap":
        if (event.target === this.fragment) this.take();
        break;
      case "visibilitychange":
        clearTimeout(this.timer);
        if (!document.hidden && this.running) this.poll();
        break;
      case "change":
        if (event.target === this.rate) this.keepRate();
        break;
      case "click":
        if (this.button.contains(event.target)) this.pause();
        break;
      case "perfwatch:pause":
        this.pause();
        break;
      case "perfwatch:refresh":
        this.poll();
        break;
      default:
        this.disconnected();
    }
  }

  // Milliseconds between two polls: what was chosen, else what the server says.
  get period() {
    return this.rate.value ? 1000 * this.constructor.seconds[this.rate.value] : this.points.poll;
  }

  get running() {
    return !this.paused && this.period > 0;
  }

  schedule() {
    clearTimeout(this.timer);
    if (!document.hidden && this.running) this.timer = setTimeout(() => this.poll(), this.period);
  }

  poll() {
    this.fragment.dispatchEvent(new CustomEvent("perfwatch:poll"));
    this.schedule();
  }

  pause() {
    this.paused = !this.paused;
    this.button.setAttribute("aria-pressed", this.paused);
    this.button.firstChild.data = this.paused ? "▶" : "❚❚";
    if (this.paused) this.sayPaused();
    else this.poll();
    this.schedule();
  }

  // The address holds the state, and a change of the rate is no reason to load the page again.
  keepRate() {
    const address = new URL(location);
    if (this.rate.value) address.searchParams.set("refresh", this.rate.value);
    else address.searchParams.delete("refresh");
    history.replaceState(null, "", address);
    if (this.running) this.poll();
    else this.sayPaused();
    this.schedule();
  }

  // Whoever looks at a page that stands still has to know: also when it stood still already.
  sayPaused() {
    if (this.running) return;
    const status = this.fragment.querySelector(".status");
    if (status.matches(".live")) {
      status.className = "status paused";
      status.textContent = `❚❚ Paused at ${clockOf(this.points.to)}.`;
    } else if (!status.matches(".paused") && !status.dataset.paused) {
      status.dataset.paused = "yes";
      status.append(" ❚❚ Paused.");
    }
    this.announce();
  }

  nameZone() {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    this.querySelector(".zone").textContent = `Times in ${zone}`;
  }

  // Adds the points of the fragment to those held, and forgets what has left the window.
  take() {
    const script = this.fragment.querySelector("#points");
    const news = JSON.parse(script.textContent);
    script.remove();
    const held = this.points;
    held.poll = news.poll;
    held.missing = news.missing;
    held.from = news.now - news.window;
    held.to = news.now;
    this.forgetTheFuture(news.now + news.ahead);
    this.append(news);
    const first = held.times.findIndex((time) => time >= held.from);
    this.cut(0, first < 0 ? held.times.length : first);
    held.marks = [...held.marks, ...news.marks].filter(([time]) => time >= held.from);
    this.sayPaused();
    this.announce();
    document.dispatchEvent(new CustomEvent("perfwatch:points", { detail: held }));
  }

  // Screen readers hear when the state changes, not the age at every poll.
  announce() {
    const status = this.fragment.querySelector(".status");
    if (this.state === status.className) return;
    if (this.state) this.querySelector("[role=status]").textContent = status.textContent;
    this.state = status.className;
  }

  get columns() {
    const { series, low, high } = this.points;
    return [series, low, high].flatMap((part) => Object.values(part));
  }

  cut(start, count) {
    if (!count) return;
    this.points.times.splice(start, count);
    for (const values of this.columns) values.splice(start, count);
  }

  append(news) {
    const held = this.points;
    const last = held.times.at(-1) ?? -Infinity;
    const before = held.times.length;
    const fresh = news.times.findIndex((time) => time > last);
    if (fresh < 0) return;
    if (!before) {
      Object.assign(held, { times: news.times, series: news.series, low: news.low ?? {}, high: news.high ?? {} });
      return;
    }
    held.times.push(...news.times.slice(fresh));
    for (const part of ["series", "low", "high"]) {
      const columns = news[part] ?? {};
      for (const name of Object.keys(columns)) held[part][name] ??= new Array(before).fill(null);
      for (const [name, values] of Object.entries(held[part])) {
        const added = columns[name];
        for (let index = fresh; index < news.times.length; index++) values.push(added ? added[index] : null);
      }
    }
  }

  // After the clock was set back, what was held would keep out what comes.
  forgetTheFuture(end) {
    const { times } = this.points;
    let count = 0;
    while (count < times.length && times[times.length - 1 - count] > end) count++;
    this.cut(times.length - count, count);
  }

  disconnected() {
    const status = this.fragment.querySelector(".status");
    status.className = "status disconnected";
    status.textContent = "▲ PerfWatch does not answer. Trying again; the charts go on when it is back.";
    this.announce();
  }
});
