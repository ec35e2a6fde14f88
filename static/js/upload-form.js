// Shows how much of an upload is sent, and says what is too much before it is:
// `<upload-form><form>…<input type="file" data-most data-most-files>…<div class="upload" hidden><progress><p>`
"use strict";

customElements.define("upload-form", class extends HTMLElement {
  static failures = ["htmx:sendError", "htmx:timeout", "htmx:responseError"];
  static types = ["change", "htmx:beforeRequest", "htmx:xhr:progress", "htmx:afterRequest", ...this.failures];

  connectedCallback() {
    for (const type of this.constructor.types) this.addEventListener(type, this);
  }

  disconnectedCallback() {
    for (const type of this.constructor.types) this.removeEventListener(type, this);
  }

  handleEvent({ type, detail }) {
    if (type === "change") this.check();
    else if (type === "htmx:beforeRequest") this.show(0, "Uploading …");
    else if (type === "htmx:xhr:progress") this.uploaded(detail);
    else if (type === "htmx:afterRequest") this.querySelector(".upload").hidden = true;
    else this.say(detail.xhr?.status);
  }

  check() {
    const input = this.querySelector("input[type=file]");
    const { most, mostFiles } = input.dataset;
    const size = [...input.files].reduce((sum, file) => sum + file.size, 0);
    let fault = size > most ? `That is more than ${Math.floor(most / 2 ** 20)} MiB.` : "";
    if (input.files.length > mostFiles) fault = `That are more than ${mostFiles} files.`;
    input.setCustomValidity(fault);
    if (fault) input.reportValidity();
  }

  uploaded({ lengthComputable, loaded, total }) {
    // The answer's own progress comes by the same event, of a few bytes.
    if (!lengthComputable || !total || this.sent) return;
    const percent = Math.floor(100 * loaded / total);
    this.sent = loaded === total;
    this.show(percent, this.sent ? "Uploaded. One moment …" : `${percent} % uploaded`);
  }

  show(percent, text) {
    if (!percent) this.sent = false;
    const place = this.querySelector(".upload");
    place.hidden = false;
    place.querySelector("progress").value = percent;
    place.querySelector("p").textContent = text;
  }

  say(status) {
    const note = document.createElement("p");
    note.className = "note error";
    note.setAttribute("role", "alert");
    note.textContent = status === 403
      ? "You may not import any more: load this page again."
      : "The upload did not arrive. The files are still chosen: try again.";
    this.querySelector(".answer").replaceChildren(note);
  }
});
