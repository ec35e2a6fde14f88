// Runs before the first paint, so a remembered theme does not flash.
"use strict";

const THEME_KEY = "perfwatch-theme";
const THEMES = ["system", "light", "dark"];
const remembered = localStorage.getItem(THEME_KEY);
if (remembered === "light" || remembered === "dark") document.documentElement.dataset.theme = remembered;

customElements.define("theme-switch", class extends HTMLElement {
  connectedCallback() {
    this.addEventListener("click", this);
    this.system = matchMedia("(prefers-color-scheme: dark)");
    this.system.addEventListener("change", this);
    // The button inside is parsed after this runs.
    queueMicrotask(() => this.say());
  }

  disconnectedCallback() {
    this.removeEventListener("click", this);
    this.system.removeEventListener("change", this);
  }

  handleEvent(event) {
    if (event.type === "click") {
      const next = THEMES[(THEMES.indexOf(this.theme) + 1) % THEMES.length];
      if (next === "system") {
        delete document.documentElement.dataset.theme;
        localStorage.removeItem(THEME_KEY);
      } else {
        document.documentElement.dataset.theme = next;
        localStorage.setItem(THEME_KEY, next);
      }
      this.say();
    }
    document.dispatchEvent(new CustomEvent("perfwatch:theme"));
  }

  get theme() {
    return document.documentElement.dataset.theme || "system";
  }

  say() {
    const button = this.querySelector("button");
    if (button) button.title = button.ariaLabel = `Theme: ${this.theme}`;
  }
});
