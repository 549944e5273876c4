// The recorder page: it shows the state, and passes on what a person does. The desk does the work.

import { ask, Later, Refused, sameUser } from "../lib/ask.js";
import { copyOf, inField, part, write } from "../lib/dom.js";
import { clock } from "../lib/words.js";
import { GrowingText } from "../live/text.js";
import { Transcript } from "../live/transcript.js";
import { chosenOptions, optionFields } from "../options/chosen.js";
import { Desk } from "./desk.js";
import { LeftOver, mayDiscard, save } from "./left.js";
import { howFar, liveNote, STATE_WORDS, whyNotSent } from "./said.js";
import { RATE, whyNot } from "./sound/capture.js";
import { Level } from "./sound/level.js";
import { Microphones } from "./sound/microphones.js";
import { openStore } from "./store.js";

const root = part("recorder");
const { user, userName, cutsS, aliveS, sessions, jobs, who, preferences, home } = root.dataset;
const urls = { sessions, who, sockets: `${home}ws/sessions/` };
// The buttons, by the events of the machine.
const buttons = { start: part("record"), pause: part("pause"), resume: part("resume"), stop: part("stop") };
// These buttons get the focus when the pressed button disappears.
const FOLLOWING = { idle: buttons.start, recording: buttons.pause, paused: buttons.resume };
const options = optionFields(root);
const microphones = new Microphones(part("microphone"));
const level = new Level(part("level"), part("hint"));
const desk = new Desk(
  { user, userName, urls, cutSamples: cutsS.split(" ").map((s) => Number(s) * RATE), aliveMs: Number(aliveS) * 1000 },
  {
    title: () => part("title").value.trim(),
    options: () => chosenOptions(root),
    microphone: () => microphones.wanted,
    live: () => part("live").checked,
    have: () => transcript.have,
    show,
    said: (message) => transcript.take(message),
    heard,
    opened,
    problem,
    goTo,
    broke,
  },
);
const transcript = new Transcript(
  new GrowingText(part("text")),
  jobs,
  () => desk.recording?.row.job ?? "",
  (why) => problem("job", why && `${why} The recording goes on and is kept; retry the transcript when it is finished.`),
);
let leftOver;
// The last change of the switch on its way to the server.
let keeping = Promise.resolve();
let shownState = desk.state;

document.documentElement.classList.add("js");
// When people come back from the transcript, the browser would show the page as they left it, at its end. So it is
// loaded again.
window.addEventListener("pageshow", (event) => event.persisted && location.reload());
begin().catch(broke);

async function begin() {
  const why = whyNot();
  if (why) return problem("browser", why);
  listen();
  try {
    desk.store = await openStore();
  } catch (refusal) {
    return problem("browser", `This browser does not let pages store anything (${refusal.message}). Allow it, or use a window that is not private, then load this page again.`);
  }
  await microphones.show();
  // The button works only now, because sound must be stored from the first second.
  buttons.start.disabled = false;
  leftOver = new LeftOver({ store: desk.store, user, userName, urls, goTo });
  await leftOver.show();
}

// --- What a person does --------------------------------------------------------------------------

function listen() {
  for (const [event, button] of Object.entries(buttons)) button.addEventListener("click", () => desk.press(event));
  part("again").addEventListener("click", () => desk.sender.tryAgain());
  part("download").addEventListener("click", async () => save(await desk.recording.wav(), desk.recording.row.title));
  part("discard").addEventListener("click", () => (desk.deleted || mayDiscard(desk.recording.row)) && desk.sender.discard());
  part("title").addEventListener("change", () => desk.retitle());
  part("microphone").addEventListener("change", () => desk.alone(choose));
  part("live").addEventListener("change", () => {
    desk.wantLive();
    show();
    keeping = keeping.then(keepLive).catch(broke);
  });
  for (const field of options) {
    field.addEventListener("change", () => desk.refusedOptions && desk.sender.change(chosenOptions(root)));
  }
  root.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", shortcut);
  document.addEventListener("visibilitychange", seen);
  window.addEventListener("beforeunload", (event) => {
    if (desk.recording || leftOver?.sending) event.preventDefault();
  });
  window.addEventListener("pagehide", () => desk.recording?.saveTail());
  navigator.mediaDevices.addEventListener("devicechange", () => microphones.show());
  setInterval(() => desk.watch(), 1000);
  show();
}

async function choose() {
  microphones.remember();
  await desk.choose();
}

// Makes the switch what this person prefers from now on, in every browser.
async function keepLive() {
  try {
    await sameUser(who, user, ` Log in as ${userName}.`);
    await ask(preferences, { method: "PATCH", body: { live: part("live").checked } });
    problem("live", "");
  } catch (refusal) {
    if (!(refusal instanceof Later || refusal instanceof Refused)) throw refusal;
    const kept = "The switch of live words counts for this page, and is not kept for the next one.";
    problem("live", `${refusal.message} ${kept}`, true);
  }
}

function shortcut(event) {
  const control = event.ctrlKey || event.metaKey;
  if (event.altKey || event.shiftKey) return;
  let done = false;
  if (event.key === "Enter" && control) done = (!buttons.start.disabled && desk.press("start")) || desk.press("stop");
  else if (event.key === " " && !control && !inField(event)) done = desk.press("pause") || desk.press("resume");
  if (done) event.preventDefault();
}

function seen() {
  if (document.hidden) return desk.recording?.saveTail();
  // The system ends the wake lock when the page is hidden.
  if (desk.state === "recording") desk.stayAwake();
  if (!desk.recording) leftOver?.show();
}

// --- What is seen --------------------------------------------------------------------------------

function show() {
  const { state, machine, sender, recording, deleted, refusedOptions } = desk;
  for (const [event, button] of Object.entries(buttons)) {
    button.hidden = !machine.may(event);
    button.ariaDisabled = machine.busy;
  }
  root.dataset.state = state;
  part("microphone").disabled = state === "sending";
  for (const field of options) field.disabled = state !== "idle" && !refusedOptions;
  const refused = sender?.state === "refused";
  part("refused").hidden = !refused;
  // During a recording, a person must stop it before it can be discarded.
  part("discard").hidden = !refused || state !== "sending";
  part("download").hidden = deleted;
  problem("send", whyNotSent(desk), sender?.state === "waiting");
  transcript.speaks(desk.live?.speaks ?? false);
  write(part("live-note"), liveNote(desk.live, part("live")));
  part("sent").hidden = !recording;
  if (recording) part("sent").textContent = howFar(desk);
  if (state !== shownState) entered(state);
}

function entered(state) {
  if (shownState === "idle") {
    // A screen reader must know in which language it reads.
    part("text").lang = chosenOptions(root).language ?? "";
    transcript.start();
  }
  if (state === "idle") transcript.stop();
  shownState = state;
  part("state").textContent = part("announce").textContent = STATE_WORDS[state];
  if (state !== "recording") level.reset();
  problem("stands", "");
  if (document.activeElement === document.body || document.activeElement?.hidden) FOLLOWING[state]?.focus();
}

function heard(batch) {
  if (batch.samples) {
    root.dataset.samples = desk.counted;
    part("clock").textContent = clock(desk.recording.samples / RATE);
  }
  if (desk.state === "recording") level.show(batch.peak, batch.loudness);
}

function opened() {
  level.reset();
  // The browser tells the names of the microphones only now.
  return microphones.show();
}

// Shows one sentence for each cause; "" takes it away. What will be well by itself is no error.
function problem(cause, sentence, passes = false) {
  const box = part("problems");
  let notice = box.querySelector(`[data-cause=${cause}]`);
  if (!sentence) return notice?.remove();
  if (!notice) {
    notice = copyOf("problem-template");
    notice.dataset.cause = cause;
    box.append(notice);
  }
  notice.className = `notice notice-${passes ? "warning" : "error"}`;
  write(notice.querySelector("p"), sentence);
}

// Shows that the recorder broke: by a mistake in this program, or because the browser removed the stored pieces.
function broke(mistake) {
  console.error(mistake);
  const keep = desk.recording ? "Stop, download what was not sent, then load" : "Load";
  problem("broken", `This page broke (${mistake.message}). ${keep} the page again.`);
  part("refused").hidden = !desk.recording;
}

function goTo(job) {
  if (desk.recording) return;
  transcript.stop();
  location.assign(`${home}jobs/${job}/`);
}
