// The one clock of the live page, and the points that its charts draw.
//
// Events: sends `perfwatch:poll` to the fragment, `perfwatch:points` {points} to the document after
// each answer; answers `perfwatch:points-wanted` of elements that came later by calling detail.draw.
"use strict";

customElements.define("live-feed", class extends HTMLElement {
  connectedCallback() {
    this.fragment = this.querySelector("#now");
    this.points = { times: [], series: {} };
    this.take();
    for (const type of ["htmx:afterSwap", "htmx:sendError", "htmx:responseError", "htmx:timeout", "perfwatch:points-wanted"]) {
      this.addEventListener(type, this);
    }
    document.addEventListener("visibilitychange", this);
    this.schedule();
  }

  disconnectedCallback() {
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this);
  }

  handleEvent(event) {
    switch (event.type) {
      case "perfwatch:points-wanted":
        event.detail.draw(this.points);
        break;
      case "htmx:afterSwap":
        this.take();
        break;
      case "visibilitychange":
        clearTimeout(this.timer);
        if (!document.hidden) this.poll();
        break;
      default:
        this.disconnected();
    }
  }

  schedule() {
    clearTimeout(this.timer);
    if (!document.hidden) this.timer = setTimeout(() => this.poll(), this.period);
  }

  poll() {
    this.fragment.dispatchEvent(new CustomEvent("perfwatch:poll"));
    this.schedule();
  }

  // Adds the points of the fragment to those held, and forgets what has left the window.
  take() {
    const script = this.fragment.querySelector("#points");
    const news = JSON.parse(script.textContent);
    script.remove();
    this.period = news.poll;
    this.points.from = news.now - news.window;
    this.points.to = news.now;
    this.forgetTheFuture(news.now + news.ahead);
    this.append(news);
    const first = this.points.times.findIndex((time) => time >= this.points.from);
    const gone = first < 0 ? this.points.times.length : first;
    if (gone) {
      this.points.times.splice(0, gone);
      for (const values of Object.values(this.points.series)) values.splice(0, gone);
    }
    this.announce();
    document.dispatchEvent(new CustomEvent("perfwatch:points", { detail: this.points }));
  }

  // Screen readers hear when the state changes, not the age at every poll.
  announce() {
    const status = this.fragment.querySelector(".status");
    if (this.state === status.className) return;
    if (this.state) this.querySelector("[role=status]").textContent = status.textContent;
    this.state = status.className;
  }

  append(news) {
    const held = this.points;
    const last = held.times.at(-1) ?? -Infinity;
    const before = held.times.length;
    const fresh = news.times.findIndex((time) => time > last);
    if (fresh < 0) return;
    held.times.push(...news.times.slice(fresh));
    for (const name of Object.keys(news.series)) {
      held.series[name] ??= new Array(before).fill(null);
    }
    for (const [name, values] of Object.entries(held.series)) {
      const added = news.series[name];
      for (let index = fresh; index < news.times.length; index++) values.push(added ? added[index] : null);
    }
  }

  // After the clock was set back, what was held would keep out what comes.
  forgetTheFuture(end) {
    while (this.points.times.at(-1) > end) {
      this.points.times.pop();
      for (const values of Object.values(this.points.series)) values.pop();
    }
  }

  disconnected() {
    const status = this.fragment.querySelector(".status");
    status.className = "status disconnected";
    status.textContent = "▲ PerfWatch does not answer. Trying again; the charts go on when it is back.";
    this.announce();
  }
});
