// The list of uploads that this person began earlier in this browser. People can choose the same file again, or discard
// the upload.

import { copyOf, part, write } from "../lib/dom.js";
import { dateOf, sizeOf } from "../lib/words.js";
import { isOf } from "./kept.js";
import { discard, look } from "./tus.js";

const section = part("unfinished");
const list = part("unfinished-list");

export class Unfinished {
  // `goOn(file)` is called with the file of such an upload, and sends it at once.
  constructor(kept, goOn) {
    Object.assign(this, { kept, goOn });
    this.rows = new Map();
  }

  async show() {
    for (const entry of await this.kept.unclaimed()) this.add(entry);
    this.update();
  }

  async add(entry) {
    const row = copyOf("unfinished-template");
    row.querySelector(".file-name").textContent = entry.name;
    row.querySelector(".file-size").textContent = sizeOf(entry.size);
    const input = row.querySelector("input");
    input.setAttribute("aria-label", `Choose ${entry.name} again`);
    input.addEventListener("change", () => this.chosen(entry, row, input));
    const button = row.querySelector("button");
    button.setAttribute("aria-label", `Discard ${entry.name}`);
    button.addEventListener("click", () => this.discard(entry, row));
    this.rows.set(entry.key, row);
    list.append(row);
    let found;
    try {
      found = await look(entry.url);
    } catch {
      // The upload itself shows this problem when it is sent.
      return;
    }
    if (!found || found.job) {
      // If only the last answer was lost, the transcript is already in the list.
      this.kept.forget(entry.key);
      return this.remove(entry.key);
    }
    const until = found.expires && dateOf(found.expires);
    const percent = Math.floor((100 * found.offset) / entry.size);
    note(row, `${percent} % is on the server${until ? ` and kept until ${until}` : ""}.`);
  }

  chosen(entry, row, input) {
    const [file] = input.files;
    input.value = "";
    if (!file) return;
    if (isOf(entry, file)) return this.goOn(file);
    const other = file.name === entry.name ? "This file has changed since then." : `${file.name} is another file.`;
    note(row, `${other} Upload it below as a new one, or choose ${entry.name}.`);
  }

  async discard(entry, row) {
    for (const control of row.querySelectorAll("input, button")) control.disabled = true;
    if (await discard(entry.url)) {
      this.kept.forget(entry.key);
      this.remove(entry.key);
      part("id_file").focus();
      return;
    }
    for (const control of row.querySelectorAll("input, button")) control.disabled = false;
    note(row, "The server cannot be told now. Try again later; it also deletes by itself what it has.");
  }

  // Removes an entry that now has a row of its own.
  remove(key) {
    this.rows.get(key)?.remove();
    this.rows.delete(key);
    this.update();
  }

  update() {
    section.hidden = !this.rows.size;
  }
}

function note(row, text) {
  write(row.querySelector(".file-note"), text);
}
