// Runs in the audio thread, and turns the microphone's samples into 16 kHz, 16 bit, in batches of a tenth of a second.
//
// It takes the messages "run" and "hold", and sends {samples, counted, peak, loudness, held}. `samples` is null while
// it holds. `counted` is the number of samples that it has given since it was made. `peak` and `loudness` (root mean
// square) are 0 to 1. The answer to "hold" is the batch with `held`, which has all samples from before.

import { Resampler } from "./resample.js";

const RATE = 16000;
const BATCH = RATE / 10;
const SILENCE = new Float32Array(128);

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = sampleRate === RATE ? null : new Resampler(sampleRate, RATE);
    this.begun = this.running = false;
    this.counted = 0;
    this.begin();
    this.port.onmessage = ({ data }) => {
      if (data === "run") this.running = true;
      else this.hold();
    };
  }

  begin() {
    this.batch = new Int16Array(BATCH);
    this.filled = 0;
    this.heard = 0;
    this.peak = 0;
    this.power = 0;
  }

  process([[input = this.begun && this.running ? SILENCE : undefined]]) {
    // There is no channel if nothing is connected, or if Firefox has muted the microphone. Time goes on then.
    if (!input) return true;
    this.begun = true;
    for (const sample of input) {
      this.peak = Math.max(this.peak, Math.abs(sample));
      this.power += sample * sample;
    }
    this.heard += input.length;
    if (this.running) this.take(this.resampler ? this.resampler.process(input) : input);
    else if (this.heard >= sampleRate / 10) this.give();
    return true;
  }

  take(samples) {
    for (const sample of samples) {
      this.batch[this.filled++] = Math.max(-32768, Math.min(32767, Math.round(sample * 32768)));
      if (this.filled === BATCH) this.give();
    }
  }

  hold() {
    if (this.running && this.resampler) this.take(this.resampler.flush());
    this.running = false;
    this.give(true);
  }

  give(held = false) {
    const samples = this.filled ? this.batch.slice(0, this.filled) : null;
    this.counted += this.filled;
    const loudness = this.heard ? Math.sqrt(this.power / this.heard) : 0;
    this.port.postMessage({ samples, counted: this.counted, peak: this.peak, loudness, held });
    this.begin();
  }
}

registerProcessor("capture", Capture);
