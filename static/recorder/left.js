// The list of this person's earlier recordings that are still in this browser. People can send, save or discard them.

import { copyOf, part, write } from "../lib/dom.js";
import { clock, dateOf } from "../lib/words.js";
import { Recording, unsentSamples } from "./recording.js";
import { Sender } from "./send.js";
import { RATE } from "./sound/capture.js";
import { takenRecordings, takeRecording } from "./store.js";

const BUSY = "Another tab has taken this up.";

export class LeftOver {
  // `goTo(job)` is called when all of a recording has been sent.
  constructor({ store, user, userName, urls, goTo }) {
    Object.assign(this, { store, user, userName, urls, goTo });
    this.section = part("left");
    this.list = part("left-list");
    // The recordings that this page is sending, by their ids.
    this.taken = new Map();
  }

  get sending() {
    return this.taken.size > 0;
  }

  async show() {
    const taken = await takenRecordings();
    const items = [];
    for (const row of await this.store.recordingsOf(this.user)) {
      if (this.taken.has(row.id)) items.push(this.taken.get(row.id));
      else if (!taken(row.id)) items.push(await this.item(row));
    }
    const shown = items.filter(Boolean);
    // The entry with the keyboard focus, and those that are being sent, must not go away.
    if (!this.list.contains(document.activeElement)) this.list.replaceChildren(...shown);
    this.section.hidden = !this.list.children.length;
  }

  async item(row) {
    const { numbers, tails } = await this.store.kept(row.id);
    if (!numbers.length && !tails.length && !row.session) return this.forgetEmpty(row);
    const item = copyOf("left-template");
    const began = dateOf(new Date(row.startedAt));
    item.querySelector(".file-name").textContent = row.title || `Recording of ${began}`;
    let samples = unsentSamples(row, numbers);
    for (const number of tails) for (const tail of await this.store.tail(row.id, number)) samples += tail.length;
    const rest = samples ? `${clock(samples / RATE)} not sent` : "sent, but not finished";
    item.querySelector(".file-size").textContent = row.title ? `${began}, ${rest}` : rest;
    for (const name of ["send", "download", "discard"]) {
      const button = item.querySelector(`[data-do=${name}]`);
      button.addEventListener("click", () => this.with(row, item, () => this[name](row, item)));
    }
    item.querySelector("[data-do=download]").hidden = !samples;
    return item;
  }

  // Forgets a recording that was begun, but whose tab was closed before it had any sound.
  async forgetEmpty(row) {
    const release = await takeRecording(row.id);
    if (!release) return null;
    await this.store.deleteRecording(row.id);
    release();
    return null;
  }

  async with(row, item, act) {
    if (this.taken.has(row.id)) return;
    this.taken.set(row.id, item);
    const release = await takeRecording(row.id);
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
  // By then the download has begun, so the memory can be freed.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function note(item, text) {
  write(item.querySelector(".file-note"), text);
}
