// Check boxes of a form that names are chosen from. What nobody changed stays out of the address:
// `<name-picker><details>…` with inputs of one name; of a picker with `all`, also when all are checked.
"use strict";

customElements.define("name-picker", class extends HTMLElement {
  connectedCallback() {
    this.form = this.querySelector("input").form;
    this.form.addEventListener("submit", this);
  }

  disconnectedCallback() {
    this.form.removeEventListener("submit", this);
  }

  handleEvent() {
    const boxes = [...this.querySelectorAll("input")];
    const chosen = new URL(location).searchParams.has(boxes[0].name);
    const same = boxes.every((box) => box.checked === box.defaultChecked);
    const all = this.hasAttribute("all") && boxes.every((box) => box.checked);
    if (!all && (chosen || !same)) return;
    for (const box of boxes) box.disabled = true;
    // The form is read in this task.
    setTimeout(() => { for (const box of boxes) box.disabled = false; }, 0);
  }
});
