// What earlier recordings of this person left in this browser: send it, save it, or discard it.

import { RATE } from "./capture.js";
import { Recording, unsentSamples } from "./recording.js";
import { Sender } from "./send.js";
import { lockedElsewhere, takeLock } from "./store.js";
import { clock } from "./words.js";

const BUSY = "Another tab has taken this up.";

export class LeftOver {
  // `goTo(job)`: called when all of one has been sent.
  constructor({ store, user, userName, urls, goTo }) {
    Object.assign(this, { store, user, userName, urls, goTo });
    this.section = document.getElementById("left");
    this.list = document.getElementById("left-list");
    this.template = document.getElementById("left-template");
    // By id, those that are being sent from here.
    this.taken = new Map();
  }

  get sending() {
    return this.taken.size > 0;
  }

  async show() {
    const locked = await lockedElsewhere();
    const items = [];
    for (const row of await this.store.recordingsOf(this.user)) {
      if (this.taken.has(row.id)) items.push(this.taken.get(row.id));
      else if (!locked(row.id)) items.push(await this.item(row));
    }
    const shown = items.filter(Boolean);
    // What the keyboard stands on, and what is being sent, must not go away.
    if (!this.list.contains(document.activeElement)) this.list.replaceChildren(...shown);
    this.section.hidden = !this.list.children.length;
  }

  async item(row) {
    const { numbers, tails } = await this.store.kept(row.id);
    if (!numbers.length && !tails.length && !row.session) return this.forgetEmpty(row);
    const item = this.template.content.firstElementChild.cloneNode(true);
    const began = new Date(row.startedAt).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
    item.querySelector(".file-name").textContent = row.title || `Recording of ${began}`;
    let samples = unsentSamples(row, numbers);
    for (const number of tails) for (const part of await this.store.tail(row.id, number)) samples += part.length;
    const rest = samples ? `${clock(samples / RATE)} not sent` : "sent, but not finished";
    item.querySelector(".file-size").textContent = row.title ? `${began}, ${rest}` : rest;
    for (const name of ["send", "download", "discard"]) {
      const button = item.querySelector(`[data-do=${name}]`);
      button.addEventListener("click", () => this.with(row, item, () => this[name](row, item)));
    }
    item.querySelector("[data-do=download]").hidden = !samples;
    return item;
  }

  // Begun, and gone before anything was said.
  async forgetEmpty(row) {
    const release = await takeLock(row.id);
    if (!release) return null;
    await this.store.deleteRecording(row.id);
    release();
    return null;
  }

  async with(row, item, act) {
    if (this.taken.has(row.id)) return;
    this.taken.set(row.id, item);
    const release = await takeLock(row.id);
    if (!release) note(item, BUSY);
    try {
      if (release) await act();
    } finally {
      this.taken.delete(row.id);
      release?.();
    }
  }

  async send(row, item) {
    for (const button of item.querySelectorAll("button")) button.disabled = true;
    const recording = await Recording.rescue(this.store, row);
    recording.onStoreProblem = (problem) => note(item, `The browser cannot store it (${problem.message}).`);
    const sender = new Sender(recording, this.urls, this.userName);
    const tell = () => {
      if (sender.state === "waiting") note(item, `${sender.why} It is tried again by itself.`);
      else if (sender.state === "refused") note(item, `${sender.why} Download it to keep it.`);
      else note(item, `Sending the rest: ${clock(recording.unsentSamples / RATE)} to go`);
      item.classList.toggle("file-failed", sender.state === "refused");
      if (sender.state === "refused") sender.stop();
    };
    recording.onChange = sender.onChange = tell;
    tell();
    const job = await sender.run();
    if (sender.state === "done") {
      item.remove();
      if (job) return this.goTo(job);
      return this.show();
    }
    for (const button of item.querySelectorAll("button")) button.disabled = false;
  }

  async download(row) {
    save(await (await Recording.rescue(this.store, row)).wav(), row.title);
  }

  async discard(row, item) {
    if (!mayDiscard(row)) return;
    await this.store.deleteRecording(row.id);
    item.remove();
    this.section.hidden = !this.list.children.length;
  }
}

export function mayDiscard(row) {
  return confirm(
    row.session
      ? "Discard what was not sent? The server keeps what it has and makes a transcript of that."
      : "Discard this recording? There is no other copy.",
  );
}

export function save(wav, title) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(wav);
  link.download = `${title.replace(/[\\/:*?"<>|\s]+/g, " ").trim() || "recording"}.wav`;
  link.click();
  // The download has begun by then, and the memory is wanted back.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function note(item, text) {
  item.querySelector(".file-note").textContent = text;
}
