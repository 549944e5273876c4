// Cuts samples into pieces of exact lengths. Each piece is stored before anything else is done with it.

import { RATE } from "./sound/capture.js";
import { joined, length, samplesOf, wavOf } from "./sound/wav.js";

// A crash may cost at most this many samples.
const TAIL_SAMPLES = RATE;

export class Recording {
  // store.js describes `row`. `waiting` has the numbers of the pieces that the server does not have.
  constructor(store, row) {
    Object.assign(this, { store, row });
    this.waiting = new Set();
    // The pieces for which the browser had no room. They are lost when this tab is closed.
    this.inMemory = new Map();
    this.saving = Promise.resolve();
    this.short = false;
    row.ends ??= endsOfEarlier(row);
    // The number of the piece that is being filled, its first sample, and the samples so far.
    this.number = row.ends.length;
    this.start = this.samples = row.ends.at(-1) ?? 0;
    // This is called after each change, and with the error if the browser cannot store.
    this.onChange = () => {};
    this.onStoreProblem = () => {};
    this.begin();
  }

  // `cutSamples` has the lengths of the first pieces; the last of them is that of all further ones.
  static begin(store, { user, title, options, cutSamples }) {
    const row = {
      id: crypto.randomUUID(),
      user,
      title,
      options,
      // People tell recordings apart by this time. Nothing is computed with it.
      startedAt: Date.now(),
      ends: [],
      base: 0,
      stopped: false,
      key: crypto.randomUUID(),
    };
    const recording = new Recording(store, row);
    recording.cutSamples = cutSamples;
    recording.begin();
    return recording;
  }

  // Returns a recording that another tab left behind. The piece that was being filled there becomes its last one.
  static async rescue(store, row) {
    const recording = new Recording(store, row);
    const { numbers, tails } = await store.kept(row.id);
    for (const number of numbers) recording.waiting.add(number);
    for (const number of tails) {
      recording.number = number;
      recording.start = startOf(row, number);
      recording.parts = await store.tail(row.id, number);
      recording.filled = length(recording.parts);
      recording.samples = recording.start + recording.filled;
      recording.cut();
    }
    await recording.finish();
    return recording;
  }

  begin() {
    this.parts = [];
    this.filled = 0;
    this.unsaved = [];
    this.tails = 0;
    // The length of the piece that is being filled. Nothing is added to a rescued recording.
    const nth = this.short ? 0 : this.number - this.row.base;
    this.length = this.cutSamples?.[Math.min(nth, this.cutSamples.length - 1)];
  }

  // Makes all pieces as short as the first one, or as long as usual again. The piece that is being filled becomes short,
  // too; it ends at a full second.
  shorten(short) {
    if (this.short === short) return;
    this.short = short;
    if (!short || this.row.stopped) return;
    const soon = (Math.floor(this.filled / RATE) + 1) * RATE;
    this.length = Math.min(this.length, Math.max(this.cutSamples[0], soon));
  }

  // Returns whether the pieces of this session end where the server's do, and takes over the end of the one that is
  // being filled. `cutsMs` are the ends of the server's since the beginning of the session; behind the last one they
  // have the distance of the last two.
  agrees(cutsMs) {
    const { row, base, number } = this;
    const lastMs = cutsMs.at(-1) - (cutsMs.at(-2) ?? 0);
    const cutMs = (n) => cutsMs[n] ?? cutsMs.at(-1) + (n - cutsMs.length + 1) * lastMs;
    const endMs = (end) => Math.floor(((end - base) / RATE) * 1000);
    if (!row.ends.slice(row.base).every((end, n) => endMs(end) === cutMs(n))) return false;
    const n = number - row.base;
    const length = ((cutMs(n) - (n && cutMs(n - 1))) * RATE) / 1000;
    if (length <= this.filled) return false;
    this.length = length;
    return true;
  }

  add(samples) {
    for (let at = 0; at < samples.length; ) {
      const taken = samples.subarray(at, at + this.length - this.filled);
      at += taken.length;
      this.parts.push(taken);
      this.unsaved.push(taken);
      this.filled += taken.length;
      this.samples += taken.length;
      if (this.filled === this.length) this.cut();
    }
    if (length(this.unsaved) >= TAIL_SAMPLES) this.saveTail();
  }

  // Stores the samples that no piece and no tail has yet.
  saveTail() {
    if (!this.unsaved.length) return;
    const tail = { recording: this.row.id, number: this.number, part: this.tails++, pcm: joined(this.unsaved) };
    this.unsaved = [];
    this.inTurn(() => this.store.saveTail(tail));
  }

  cut() {
    const { number, filled: samples, samples: soFar } = this;
    const wav = wavOf(this.parts, RATE);
    this.row.ends[number] = this.start = soFar;
    this.number++;
    this.begin();
    this.waiting.add(number);
    this.inTurn(async () => {
      const chunk = { recording: this.row.id, number, samples, sha256: await sha256(wav), wav };
      this.inMemory.set(number, chunk);
      await this.store.saveChunk(chunk, this.row);
      this.inMemory.delete(number);
    });
  }

  // Ends the recording: no more samples come. Resolves when everything is stored.
  finish() {
    if (this.filled) this.cut();
    this.row.stopped = true;
    return this.save();
  }

  save() {
    return this.inTurn(() => this.store.saveRecording(this.row));
  }

  // Writes one change after the other, so that the store never has a later state without an earlier one.
  inTurn(write) {
    this.saving = this.saving
      .then(write)
      .catch((problem) => this.onStoreProblem(problem))
      .then(() => this.onChange());
    return this.saving;
  }

  // The sample at which this session begins.
  get base() {
    return startOf(this.row, this.row.base);
  }

  // The first sample that the server may not have.
  get first() {
    return this.waiting.size ? startOf(this.row, Math.min(...this.waiting)) : this.start;
  }

  // Returns up to `most` samples from the sample `at` on, or null if they are not here any more.
  async samplesFrom(at, most) {
    if (at >= this.start) return cutOut(this.parts, at - this.start, most);
    const number = this.row.ends.findIndex((end) => end > at);
    const piece = await this.piece(number);
    if (!piece) return null;
    return samplesOf(piece.wav).subarray(at - startOf(this.row, number)).slice(0, most);
  }

  async piece(number) {
    await this.saving;
    return this.inMemory.get(number) ?? this.store.chunk(this.row.id, number);
  }

  // Notes that the server has a piece.
  async sent(number) {
    this.inMemory.delete(number);
    this.waiting.delete(number);
    await this.inTurn(() => this.store.deleteChunk(this.row.id, number));
  }

  // Removes the recording from this browser: everything is on the server, or nobody wants it any more.
  async forget() {
    this.waiting.clear();
    await this.inTurn(() => this.store.deleteRecording(this.row.id));
  }

  // Returns everything that the server does not have, as one WAV.
  async wav() {
    const pieces = [];
    for (const number of [...this.waiting].sort((a, b) => a - b)) pieces.push(await this.piece(number));
    return new Blob([wavOf([...pieces.map((piece) => samplesOf(piece.wav)), ...this.parts], RATE)], {
      type: "audio/wav",
    });
  }

  get unsentSamples() {
    return unsentSamples(this.row, this.waiting) + this.filled;
  }
}

// Returns up to `most` samples of the parts, from the sample `at` on.
function cutOut(parts, at, most) {
  const found = [];
  for (const part of parts) {
    if (at < part.length && most > 0) found.push(part.subarray(Math.max(0, at), Math.max(0, at) + most));
    if (at < part.length) most -= found.at(-1)?.length ?? 0;
    at -= part.length;
  }
  return joined(found);
}

// Returns how many samples these pieces have.
export function unsentSamples(row, numbers) {
  row.ends ??= endsOfEarlier(row);
  let sum = 0;
  for (const number of numbers) sum += row.ends[number] - startOf(row, number);
  return sum;
}

// Returns where a piece begins: where the last one before it ends that the browser could store.
function startOf(row, number) {
  return row.ends.slice(0, number).findLast((end) => end !== undefined) ?? 0;
}

// Returns the ends of the pieces of a recording that an earlier version left behind. All but the last are full.
function endsOfEarlier({ chunkSamples, cut, samples }) {
  return Array.from({ length: cut }, (_, n) => Math.min((n + 1) * chunkSamples, samples));
}

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
