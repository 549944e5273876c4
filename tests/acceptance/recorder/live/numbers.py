"""A microphone for the page that hears what `speech.engines.fake.make_numbered_audio` makes."""

from __future__ import annotations

NUMBERS = """
export const RATE = 16000;
export const whyNot = () => "";
export const remedy = String;
export const listMicrophones = async () => [];

const SLOT = RATE / 4;
let at = 0;

function sample() {
    const digit = Number(String(Math.floor(at / RATE)).padStart(4, "0")[Math.floor((at % RATE) / SLOT)]);
    const time = (at++ % SLOT) / RATE;
    return Math.round(0.3 * 32767 * Math.sin(2 * Math.PI * (400 + 200 * digit) * time));
}

export async function openMicrophone({ onBatch }) {
    let timer;
    let begun;
    const give = () => {
        // A timer that comes late on a busy machine makes up for it.
        for (; begun < performance.now(); begun += 100) {
            onBatch({ samples: Int16Array.from({ length: RATE / 10 }, sample), peak: 0.3, loudness: 0.2 });
        }
    };
    const hold = async () => clearInterval(timer);
    return {
        run() {
            begun = performance.now();
            timer = setInterval(give, 100);
        },
        hold,
        close: hold,
    };
}
"""
