// Joins samples that come in parts (Int16Arrays, in order), and writes WAV files, 16 bit mono.

const HEADER_BYTES = 44;

export function wavOf(parts, rate) {
  const bytes = 2 * length(parts);
  const wav = new ArrayBuffer(HEADER_BYTES + bytes);
  const view = new DataView(wav);
  const text = (at, word) => [...word].forEach((letter, n) => view.setUint8(at + n, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, HEADER_BYTES - 8 + bytes, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, bytes, true);
  // All machines that browsers run on are little-endian, as WAV is.
  fill(new Int16Array(wav, HEADER_BYTES), parts);
  return wav;
}

export function samplesOf(wav) {
  return new Int16Array(wav, HEADER_BYTES);
}

export function joined(parts) {
  return fill(new Int16Array(length(parts)), parts);
}

export function length(parts) {
  return parts.reduce((sum, part) => sum + part.length, 0);
}

function fill(samples, parts) {
  let at = 0;
  for (const part of parts) {
    samples.set(part, at);
    at += part.length;
  }
  return samples;
}
