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
    this.length = this.cutSamples?.[Math.min(this.number - this.row.base, this.cutSamples.length - 1)];
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
