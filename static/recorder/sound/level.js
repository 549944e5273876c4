// The level meter, and a hint if the microphone hears nothing, too little or too much.

import { write } from "../../lib/dom.js";

const LOWEST_DB = -60;
const SILENT_DB = -65;
const QUIET_DB = -42;
const LOUD_DB = -0.5;
// Silence gives a hint only after this time, because people pause between sentences.
const SILENT_AFTER_MS = 4000;
const QUIET_AFTER_MS = 10_000;
const LOUD_FOR_MS = 4000;

const HINTS = {
  silent: "Nothing is heard. Is the microphone muted, or is it the right one?",
  quiet: "This is very quiet. Move closer to the microphone, or raise its level in the system's settings.",
  loud: "This is too loud and will be distorted. Move away from the microphone, or lower its level.",
};

export class Level {
  constructor(meter, hint) {
    Object.assign(this, { meter, hint });
    this.reset();
  }

  reset() {
    const now = performance.now();
    this.soundAt = this.speechAt = now;
    this.loudAt = -Infinity;
    this.move(LOWEST_DB, false);
    this.hint.textContent = "";
  }

  // Shows the level. Both values are 0 to 1.
  show(peak, loudness) {
    const now = performance.now();
    const peakDb = decibels(peak);
    if (peakDb > SILENT_DB) this.soundAt = now;
    if (peakDb > QUIET_DB) this.speechAt = now;
    if (peakDb > LOUD_DB) this.loudAt = now;
    const hint = this.word(now);
    this.move(decibels(loudness), hint !== "");
    write(this.hint, hint);
  }

  move(level, odd) {
    const shown = Math.round(Math.max(LOWEST_DB, Math.min(0, level)));
    this.meter.ariaValueNow = shown;
    this.meter.ariaValueText = `${shown} decibels`;
    this.meter.firstElementChild.style.width = `${100 * (1 - shown / LOWEST_DB)}%`;
    this.meter.classList.toggle("level-odd", odd);
  }

  word(now) {
    if (now - this.soundAt > SILENT_AFTER_MS) return HINTS.silent;
    if (now - this.speechAt > QUIET_AFTER_MS) return HINTS.quiet;
    return now - this.loudAt < LOUD_FOR_MS ? HINTS.loud : "";
  }
}

function decibels(amplitude) {
  return 20 * Math.log10(Math.max(amplitude, 1e-6));
}
