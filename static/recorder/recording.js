// Cuts samples into pieces of exactly the same length. Each piece is stored before anything else is done with it.

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
    this.number = row.cut;
    this.samples = row.samples;
    // This is called after each change, and with the error if the browser cannot store.
    this.onChange = () => {};
    this.onStoreProblem = () => {};
    this.begin();
  }

  static begin(store, { user, title, options, chunkSamples }) {
    const row = {
      id: crypto.randomUUID(),
      user,
      title,
      options,
      chunkSamples,
      // People tell recordings apart by this time. Nothing is computed with it.
      startedAt: Date.now(),
      cut: 0,
      samples: 0,
      base: 0,
      stopped: false,
      key: crypto.randomUUID(),
    };
    return new Recording(store, row);
  }

  // Returns a recording that another tab left behind. The piece that was being filled there becomes its last one.
  static async rescue(store, row) {
    const recording = new Recording(store, row);
    const { numbers, tails } = await store.kept(row.id);
    for (const number of numbers) recording.waiting.add(number);
    for (const number of tails) {
      recording.number = number;
      recording.parts = await store.tail(row.id, number);
      recording.filled = length(recording.parts);
      recording.samples = number * row.chunkSamples + recording.filled;
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
  }

  add(samples) {
    for (let at = 0; at < samples.length; ) {
      const taken = samples.subarray(at, at + this.row.chunkSamples - this.filled);
      at += taken.length;
      this.parts.push(taken);
      this.unsaved.push(taken);
      this.filled += taken.length;
      this.samples += taken.length;
      if (this.filled === this.row.chunkSamples) this.cut();
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
    this.number++;
    this.begin();
    this.waiting.add(number);
    this.inTurn(async () => {
      const chunk = { recording: this.row.id, number, samples, sha256: await sha256(wav), wav };
      this.inMemory.set(number, chunk);
      this.row.cut = number + 1;
      this.row.samples = soFar;
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

// Returns how many samples these pieces have. All pieces are full, except for the last one.
export function unsentSamples(row, numbers) {
  let sum = 0;
  for (const number of numbers) {
    const rest = row.samples - number * row.chunkSamples;
    sum += rest > 0 ? Math.min(row.chunkSamples, rest) : row.chunkSamples;
  }
  return sum;
}

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
