// Samples become pieces of exactly the same length, each stored before anything else is done with it.

import { RATE } from "./capture.js";
import { samplesOf, wavOf } from "./wav.js";

// How much a crash may cost.
const TAIL_SAMPLES = RATE;

export class Recording {
  // `row`: see store.js. `waiting`: the numbers of the pieces that the server does not have.
  constructor(store, row) {
    Object.assign(this, { store, row });
    this.waiting = new Set();
    // Pieces that the browser had no room for. They live as long as this tab.
    this.inMemory = new Map();
    this.saving = Promise.resolve();
    this.number = row.cut;
    this.samples = row.samples;
    // Called after each change, and with the error when the browser cannot store.
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
      // For people to tell recordings apart; nothing is computed with this clock.
      startedAt: Date.now(),
      cut: 0,
      samples: 0,
      base: 0,
      stopped: false,
      key: crypto.randomUUID(),
    };
    return new Recording(store, row);
  }

  // One that a tab left behind. What was being filled there becomes its last piece.
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

  // What no piece and no tail holds yet.
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

  // No more samples come. Resolves when everything is stored.
  finish() {
    if (this.filled) this.cut();
    this.row.stopped = true;
    return this.save();
  }

  save() {
    return this.inTurn(() => this.store.saveRecording(this.row));
  }

  // One write after the other, so that the store never holds a later state without an earlier one.
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

  // The server has it.
  async sent(number) {
    this.inMemory.delete(number);
    this.waiting.delete(number);
    await this.inTurn(() => this.store.deleteChunk(this.row.id, number));
  }

  // Everything is on the server, or nobody wants it any more.
  async forget() {
    this.waiting.clear();
    await this.inTurn(() => this.store.deleteRecording(this.row.id));
  }

  // Everything that the server does not have, as one WAV.
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

// All pieces are full but the last one.
export function unsentSamples(row, numbers) {
  let sum = 0;
  for (const number of numbers) {
    const rest = row.samples - number * row.chunkSamples;
    sum += rest > 0 ? Math.min(row.chunkSamples, rest) : row.chunkSamples;
  }
  return sum;
}

function length(parts) {
  return parts.reduce((sum, part) => sum + part.length, 0);
}

function joined(parts) {
  const all = new Int16Array(length(parts));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
