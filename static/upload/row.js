// The row of one file: it shows the progress, the problem and the buttons.

import { copyOf, write } from "../lib/dom.js";
import { clock, sizeOf } from "../lib/words.js";

export class Row {
  // `does` has functions by the names of the buttons. `pageOf(upload)` returns the address of the transcript. `logIn`
  // is called when the person was logged out.
  constructor(upload, { does, pageOf, logIn }) {
    Object.assign(this, { upload, pageOf, logIn });
    const element = (this.element = copyOf("file-template"));
    element.querySelector(".file-name").textContent = upload.file.name;
    element.querySelector(".file-size").textContent = sizeOf(upload.file.size);
    this.bar = element.querySelector("progress");
    this.bar.setAttribute("aria-label", `Upload of ${upload.file.name}`);
    this.note = element.querySelector(".file-note");
    this.buttons = {};
    for (const [name, act] of Object.entries(does)) {
      this.buttons[name] = element.querySelector(`[data-do=${name}]`);
      this.buttons[name].addEventListener("click", act);
    }
  }

  show() {
    const { upload, element, bar, buttons } = this;
    const { state, looking } = upload;
    const focused = document.activeElement;
    element.className = `file file-${state}`;
    bar.hidden = !["sending", "waiting", "paused"].includes(state);
    bar.value = upload.percent;
    buttons.pause.hidden = state !== "sending" || looking;
    buttons.resume.hidden = state !== "paused";
    buttons.again.hidden = state !== "failed" && state !== "waiting";
    this.label("again", state === "waiting" ? "Try now" : "Try again");
    buttons.remove.hidden = state === "done" || looking;
    this.label("remove", upload.removable ? "Remove" : "Cancel");
    for (const name of ["pause", "resume"]) this.label(name, buttons[name].textContent.trim());
    write(this.note, this.words());
    if (state === "done") this.link();
    // If the focused button disappears, the keyboard focus stays with the same file.
    if (element.contains(focused) && focused.hidden) element.querySelector("button:not([hidden]), a")?.focus();
  }

  label(name, text) {
    const button = this.buttons[name];
    write(button.querySelector("span"), text);
    button.setAttribute("aria-label", `${text} ${this.upload.file.name}`);
  }

  link() {
    const name = this.element.querySelector("span.file-name");
    if (!name) return;
    const anchor = document.createElement("a");
    anchor.className = "file-name";
    anchor.href = this.pageOf(this.upload);
    anchor.textContent = this.upload.file.name;
    name.replaceWith(anchor);
  }

  words() {
    const { upload } = this;
    switch (upload.state) {
      case "chosen":
        return upload.entry ? "A part of it is on the server already. The rest is sent with the options of then." : "";
      case "queued":
        return "Waiting for its turn";
      case "sending":
        return upload.looking ? "The server looks at the file …" : howFar(upload);
      case "waiting":
        if (upload.kind === "login") return `${upload.why} ${this.logIn}`;
        return `${upload.why} Trying again in ${inWords(upload.againAt - Date.now())}.`;
      case "cancelling":
        return "Cancelling …";
      case "paused":
        return `Paused at ${upload.percent} %`;
      case "done":
        return "Uploaded";
      default:
        return upload.why;
    }
  }
}

function howFar({ speed, sent, file, percent }) {
  if (!speed) return `${percent} %`;
  return `${percent} %, ${sizeOf(speed)}/s, ${inWords((1000 * (file.size - sent)) / speed)} left`;
}

// Writes a length of time: 7 s, 3:20 min, 1:02:03 h
function inWords(ms) {
  const seconds = Math.max(1, Math.ceil(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  return `${clock(seconds)} ${seconds < 3600 ? "min" : "h"}`;
}
