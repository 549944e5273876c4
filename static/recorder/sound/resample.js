// Changes the sample rate of a stream block by block, with the same result as for one long signal. It uses a
// windowed-sinc filter, and keeps only those phases of the filter that occur.

// The length of each side of the filter, in periods of the lower rate. With 32 and this window, the filter is 80 dB
// down from 8 kHz on.
const HALF_PERIODS = 32;
const KAISER_BETA = 8;
// The middle of the filter's slope, as a part of the band.
const EDGE = 0.92;

export class Resampler {
  constructor(from, to) {
    const common = divisor(from, to);
    this.from = from / common;
    this.to = to / common;
    const band = EDGE * Math.min(1, to / from);
    this.half = Math.ceil(HALF_PERIODS / Math.min(1, to / from));
    this.filters = Array.from({ length: this.to }, (_, phase) => filter(phase / this.to, this.half, band));
    this.reset();
  }

  reset() {
    // Before the first sample there is silence.
    this.kept = new Float32Array(this.half);
    this.keptFrom = -this.half;
    this.taken = 0;
    this.given = 0;
  }

  // Returns the output samples that are final by now. The last ones depend on the input after them; flush() gives them.
  process(input) {
    this.taken += input.length;
    return this.run(input, Infinity);
  }

  // Returns the samples that are left, as if silence followed, and then begins a new stream.
  flush() {
    const all = Math.ceil((this.taken * this.to) / this.from);
    const rest = this.run(new Float32Array(this.half + 1), all);
    this.reset();
    return rest;
  }

  run(input, atMost) {
    const samples = new Float32Array(this.kept.length + input.length);
    samples.set(this.kept);
    samples.set(input, this.kept.length);
    const end = this.keptFrom + samples.length;
    const output = [];
    let middle = this.middle();
    for (; middle + this.half < end && this.given < atMost; middle = this.middle()) {
      const taps = this.filters[(this.given * this.from) % this.to];
      const first = middle - this.half + 1 - this.keptFrom;
      let sum = 0;
      for (let k = 0; k < taps.length; k++) sum += taps[k] * samples[first + k];
      output.push(sum);
      this.given++;
    }
    const needed = Math.min(Math.max(0, middle - this.half + 1 - this.keptFrom), samples.length);
    this.kept = samples.slice(needed);
    this.keptFrom += needed;
    return output;
  }

  // Returns the last input sample at or before the next output sample.
  middle() {
    return Math.floor((this.given * this.from) / this.to);
  }
}

function filter(offset, half, band) {
  const taps = Float32Array.from({ length: 2 * half }, (_, k) => {
    const at = k - half + 1 - offset;
    return band * sinc(band * at) * kaiser(at / half);
  });
  const sum = taps.reduce((a, b) => a + b);
  return taps.map((tap) => tap / sum);
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

function kaiser(x) {
  return Math.abs(x) > 1 ? 0 : bessel(KAISER_BETA * Math.sqrt(1 - x * x)) / bessel(KAISER_BETA);
}

// Returns the modified Bessel function of the first kind and order 0.
function bessel(x) {
  let sum = 1;
  for (let term = 1, k = 1; term > 1e-12 * sum; k++) sum += term *= (x / (2 * k)) ** 2;
  return sum;
}

function divisor(a, b) {
  return b ? divisor(b, a % b) : a;
}
