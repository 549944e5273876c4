// Connects the transcript to the audio. A click on a time or a word starts the audio there, and the words that are
// heard are marked.
//
// In <span data-start data-end data-words="1200:5 1500:3">, times are milliseconds. Each word has its start and its
// length in characters without white space. Words become elements only when they are needed, because a long transcript
// has tens of thousands of them.

import { inField } from "../lib/dom.js";

const STEP_S = 5;
const HANDS_OFF_MS = 4000;

const player = document.getElementById("player");
const transcript = document.getElementById("transcript");
const audio = player?.querySelector("audio");
if (audio) {
  listen();
  if (transcript) follow();
}

function listen() {
  const speed = document.getElementById("speed");
  for (const part of player.querySelectorAll(".player-speed, .player-keys")) part.hidden = false;
  speed.addEventListener("change", () => (audio.playbackRate = Number(speed.value)));
  // The page shows an error only if the browser cannot play the format. A missing range or a lost network is no such
  // error.
  audio.addEventListener("error", () => {
    player.querySelector(".player-error").hidden = audio.error?.code !== MediaError.MEDIA_ERR_SRC_NOT_SUPPORTED;
  });

  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (inField(event)) return;
    if (event.key === " ") toggle();
    else if (event.key === "ArrowLeft") audio.currentTime = Math.max(0, audio.currentTime - STEP_S);
    else if (event.key === "ArrowRight") audio.currentTime += STEP_S;
    else return;
    event.preventDefault();
  });
}

function toggle() {
  if (audio.paused) play();
  else audio.pause();
}

function seek(ms) {
  audio.currentTime = ms / 1000;
  play();
}

function play() {
  // The promise also fails if the person pauses before the first sound. Audio that cannot be played has its own error.
  audio.play().catch((problem) => {
    if (!["AbortError", "NotSupportedError"].includes(problem.name)) throw problem;
  });
}

function follow() {
  const sentences = Array.from(transcript.querySelectorAll("[data-start]"));
  const starts = sentences.map((sentence) => Number(sentence.dataset.start));
  const quiet = matchMedia("(prefers-reduced-motion: reduce)");
  let current = null;
  let currentWord = null;
  let touchedAt = -Infinity;

  transcript.classList.add("transcript-live");

  transcript.addEventListener("pointerover", (event) => {
    const sentence = event.target.closest("[data-start]");
    if (sentence) split(sentence);
  });

  transcript.addEventListener("click", (event) => {
    const time = event.target.closest("[data-seek]");
    if (time) {
      event.preventDefault();
      return seek(Number(time.dataset.seek));
    }
    // People who select text do not want to start the audio.
    if (!getSelection().isCollapsed) return;
    const place = event.target.closest("[data-at], [data-start]");
    if (place) seek(Number(place.dataset.at ?? place.dataset.start));
  });

  for (const name of ["wheel", "touchmove"]) {
    window.addEventListener(name, () => (touchedAt = performance.now()), { passive: true });
  }

  function mark() {
    const ms = audio.currentTime * 1000;
    const sentence = sentences[lastAtOrBefore(starts, ms)];
    // Between two sentences nobody speaks, so nothing is marked.
    const heard = sentence && ms < Number(sentence.dataset.end) ? sentence : null;
    if (heard !== current) {
      current?.classList.remove("current");
      current = heard;
      current?.classList.add("current");
      if (current && !audio.paused) show(current);
    }
    const word = current ? wordAt(current, ms) : null;
    if (word !== currentWord) {
      currentWord?.classList.remove("current-word");
      currentWord = word;
      currentWord?.classList.add("current-word");
    }
  }

  function show(sentence) {
    if (performance.now() - touchedAt < HANDS_OFF_MS) return;
    const box = sentence.getBoundingClientRect();
    if (box.top > 80 && box.bottom < innerHeight - 140) return;
    sentence.scrollIntoView({ block: "center", behavior: quiet.matches ? "auto" : "smooth" });
  }

  function tick() {
    mark();
    if (!audio.paused) requestAnimationFrame(tick);
  }

  audio.addEventListener("play", tick);
  audio.addEventListener("seeked", mark);
  audio.addEventListener("timeupdate", mark);
}

function split(sentence) {
  const words = sentence.dataset.words;
  if (!words) return;
  delete sentence.dataset.words;
  const characters = Array.from(sentence.textContent);
  const parts = document.createDocumentFragment();
  let at = 0;
  for (const word of words.split(" ")) {
    const [start, length] = word.split(":").map(Number);
    let text = "";
    let space = "";
    while (/\s/.test(characters[at] ?? "x")) space += characters[at++];
    for (let n = 0; n < length && at < characters.length; at++) {
      text += characters[at];
      if (!/\s/.test(characters[at])) n++;
    }
    const element = document.createElement("span");
    element.dataset.at = start;
    element.textContent = text;
    parts.append(space, element);
  }
  parts.append(characters.slice(at).join(""));
  sentence.replaceChildren(parts);
}

function wordAt(sentence, ms) {
  split(sentence);
  const words = sentence.children;
  const at = lastAtOrBefore(Array.from(words, (word) => Number(word.dataset.at)), ms);
  return at < 0 ? null : words[at];
}

function lastAtOrBefore(starts, ms) {
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (starts[middle] <= ms) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
