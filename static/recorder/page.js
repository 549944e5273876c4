// The recorder page: microphone, recording and sender, and what a person sees and does.

import { listMicrophones, openMicrophone, RATE, remedy, whyNot } from "./capture.js";
import { LeftOver, mayDiscard, save } from "./left.js";
import { Level } from "./level.js";
import { Recording } from "./recording.js";
import { Sender } from "./send.js";
import { openStore, takeLock } from "./store.js";
import { Transcript } from "./transcript.js";
import { clock, pieces } from "./words.js";

const FIELDS = "input, textarea, select, button, a, summary, [contenteditable]";
const MICROPHONE = "recorder-microphone";
const STANDS_AFTER_MS = 3000;

const part = (id) => document.getElementById(id);
const root = part("recorder");
const { user, userName, chunkS, aliveS, sessions, jobs, who, home } = root.dataset;
const urls = { sessions, who };
const buttons = { record: part("record"), pause: part("pause"), resume: part("resume"), stop: part("stop") };
const options = ["id_language", "id_engine_model", "id_fallback_engine_model", "id_prompt", "id_translate_to"]
  .map(part)
  .filter(Boolean);
const level = new Level(part("level"), part("hint"));
const transcript = new Transcript(part("text"), jobUrl, (why) =>
  problem("job", why && `${why} The recording goes on and is kept; retry the transcript when it is finished.`),
);

// idle, recording, paused or sending. `busy`: on the way from one to another.
let state = "idle";
let busy = false;
let store;
let leftOver;
let microphone = null;
let recording = null;
// As its field had it when it was last taken over.
let title = "";
let sender = null;
let counted = 0;
let heardAt = 0;
let wakeLock = null;
// The change that is under way.
let turn = Promise.resolve();

document.documentElement.classList.add("js");
// Back from the transcript, the page would be as it was when it was left: at its end.
window.addEventListener("pageshow", (event) => event.persisted && location.reload());
begin().catch(broke);

async function begin() {
  const why = whyNot();
  if (why) return problem("browser", why);
  buttons.record.addEventListener("click", () => change(start));
  buttons.pause.addEventListener("click", () => change(pause));
  buttons.resume.addEventListener("click", () => change(resume));
  buttons.stop.addEventListener("click", () => change(stop));
  part("again").addEventListener("click", () => sender.tryAgain());
  part("download").addEventListener("click", async () => save(await recording.wav(), recording.row.title));
  part("discard").addEventListener("click", () => (deleted() || mayDiscard(recording.row)) && sender.discard());
  part("title").addEventListener("change", retitle);
  part("microphone").addEventListener("change", () => change(choose));
  for (const field of options) field.addEventListener("change", () => refusedOptions() && sender.change(chosenOptions()));
  root.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", shortcut);
  document.addEventListener("visibilitychange", seen);
  window.addEventListener("beforeunload", (event) => {
    if (recording || leftOver?.sending) event.preventDefault();
  });
  window.addEventListener("pagehide", () => recording?.saveTail());
  navigator.mediaDevices.addEventListener("devicechange", showMicrophones);
  setInterval(watch, 1000);
  try {
    store = await openStore();
  } catch (refusal) {
    return problem("browser", `This browser does not let pages store anything (${refusal.message}). Allow it, or use a window that is not private, then load this page again.`);
  }
  await showMicrophones();
  // Not before: what is said must be kept from the first second.
  buttons.record.disabled = false;
  leftOver = new LeftOver({ store, user, userName, urls, goTo });
  await leftOver.show();
}

// --- From one state to the next ------------------------------------------------------------------

// One at a time; a second click on the way counts for nothing.
function change(how) {
  if (!busy) turn = changing(how);
  return turn;
}

async function changing(how) {
  busy = true;
  show();
  try {
    await how();
  } catch (mistake) {
    broke(mistake);
  } finally {
    busy = false;
    show();
  }
}

async function start() {
  if (!(await openChosen())) return;
  title = part("title").value.trim();
  recording = Recording.begin(store, {
    user,
    title,
    options: chosenOptions(),
    chunkSamples: Number(chunkS) * RATE,
  });
  recording.release = await takeLock(recording.row.id);
  recording.onChange = () => {
    sender.poke();
    show();
  };
  recording.onStoreProblem = (refusal) => problem("store", storeRemedy(refusal));
  sender = new Sender(recording, urls, userName, Number(aliveS) * 1000);
  sender.onChange = show;
  await recording.save();
  // Asked for now, because some browsers ask the person.
  navigator.storage?.persist?.();
  counted = 0;
  run();
  transcript.start();
  sender.run().then(sent).catch(broke);
}

async function pause() {
  await microphone?.hold();
  enter("paused");
  recording.saveTail();
}

async function resume() {
  if (microphone || (await openChosen())) run();
}

async function stop() {
  // With Ctrl and Enter in its field, the title has not changed yet as far as the browser is concerned.
  retitle();
  await microphone?.close();
  microphone = null;
  enter("sending");
  wakeLock?.release();
  await recording.finish();
}

function run() {
  microphone.run();
  heardAt = performance.now();
  problem("microphone", "");
  enter("recording");
  stayAwake();
}

function enter(next) {
  const words = { idle: "Ready", recording: "Recording", paused: "Paused", sending: "Sending the rest …" };
  state = next;
  part("state").textContent = part("announce").textContent = words[next];
  if (next !== "recording") level.reset();
  problem("stands", "");
  show();
  // The button that was pressed is gone.
  const following = { recording: buttons.pause, paused: buttons.resume, idle: buttons.record }[next];
  if (document.activeElement === document.body || document.activeElement?.hidden) following?.focus();
}

// The sender has ended: everything is on the server, there was nothing, or it is discarded.
function sent(job) {
  const { release } = recording;
  const discarded = sender.gone;
  recording = sender = null;
  transcript.stop();
  release?.();
  if (job) return goTo(job);
  problem("microphone", discarded ? "" : "Nothing was recorded. Press Record and wait until the clock runs.");
  enter("idle");
}

// A mistake of ours, or the browser has taken the pieces away.
function broke(mistake) {
  console.error(mistake);
  const keep = recording ? "Stop, download what was not sent, then load" : "Load";
  problem("broken", `This page broke (${mistake.message}). ${keep} the page again.`);
  part("refused").hidden = !recording;
}

function goTo(job) {
  if (!recording) location.assign(`${home}jobs/${job}/`);
}

// --- The microphone ------------------------------------------------------------------------------

async function openChosen() {
  const list = part("microphone");
  // Before a permission there are no names to choose from.
  const remembered = list.options.length === 1 ? localStorage.getItem(MICROPHONE) : "";
  let opened;
  const onLost = async () => {
    await turn;
    lost(opened);
  };
  try {
    opened = await openMicrophone({ chosen: list.value, remembered, onBatch: heard, onLost });
  } catch (refusal) {
    problem("microphone", remedy(refusal));
    return false;
  }
  microphone = opened;
  problem("microphone", "");
  level.reset();
  // Their names are told only now.
  await showMicrophones();
  return true;
}

function heard(batch) {
  heardAt = performance.now();
  if (batch.samples) {
    recording.add(batch.samples);
    counted += batch.samples.length;
    root.dataset.samples = counted;
    part("clock").textContent = clock(recording.samples / RATE);
  }
  if (state === "recording") level.show(batch.peak, batch.loudness);
}

// The system can take the sound away without a word.
function watch() {
  if (state !== "recording") return;
  const stands = performance.now() - heardAt > STANDS_AFTER_MS;
  problem("stands", stands ? "No sound comes from the microphone. End the call that uses it, or choose another one." : "");
}

async function lost(gone) {
  if (gone !== microphone || state === "sending") return;
  await change(async () => {
    await gone.close();
    microphone = null;
    if (state === "recording") enter("paused");
    recording.saveTail();
  });
  problem("microphone", "The microphone is gone. What was recorded is kept. Connect it again or choose another one, then press Resume.");
}

// Another one, while the first is in use.
async function choose() {
  localStorage.setItem(MICROPHONE, part("microphone").value);
  if (!microphone) return;
  await microphone.close();
  microphone = null;
  if (state !== "recording") return;
  recording.saveTail();
  if (await openChosen()) run();
  else enter("paused");
}

async function showMicrophones() {
  const list = part("microphone");
  const wanted = list.options.length > 1 ? list.value : (localStorage.getItem(MICROPHONE) ?? "");
  const found = await listMicrophones();
  const own = list.options[0];
  list.replaceChildren(own, ...found.map(named));
  list.value = found.some(({ deviceId }) => deviceId === wanted) ? wanted : "";
}

function named({ deviceId, label }, n) {
  return new Option(label || `Microphone ${n + 1}`, deviceId);
}

// --- What is chosen ------------------------------------------------------------------------------

function chosenOptions() {
  const value = (id) => part(id)?.value ?? "";
  const [engine, model] = value("id_engine_model").split(/\/(.*)/s);
  const chosen = { language: value("id_language"), prompt: value("id_prompt") };
  if (engine) Object.assign(chosen, { engine, model });
  const [fallback_engine, fallback_model] = value("id_fallback_engine_model").split(/\/(.*)/s);
  if (fallback_engine) Object.assign(chosen, { fallback_engine, fallback_model });
  if (part("id_translate_to")?.checked) chosen.translate_to = value("id_translate_to");
  return chosen;
}

// The server took none of them yet, so they may still change.
function refusedOptions() {
  return sender?.state === "refused" && !recording.row.session;
}

// Not where the field says nothing new: what goes on in another recording has another title there.
function retitle() {
  const typed = part("title").value.trim();
  if (!recording || typed === title) return;
  recording.row.title = title = typed;
  recording.save();
}

// --- What is seen --------------------------------------------------------------------------------

function show() {
  const shown = {
    record: state === "idle",
    pause: state === "recording",
    resume: state === "paused",
    stop: state === "recording" || state === "paused",
  };
  for (const [name, button] of Object.entries(buttons)) {
    button.hidden = !shown[name];
    button.ariaDisabled = busy;
  }
  root.dataset.state = state;
  part("microphone").disabled = state === "sending";
  for (const field of options) field.disabled = state !== "idle" && !refusedOptions();
  const refused = sender?.state === "refused";
  part("refused").hidden = !refused;
  // While it is recorded, stopping comes first.
  part("discard").hidden = !refused || state !== "sending";
  part("download").hidden = deleted();
  problem("send", refused ? whyRefused() : waiting());
  part("sent").hidden = !recording;
  if (recording) part("sent").textContent = howFar();
}

// On the server, after everything had been sent.
function deleted() {
  return state === "sending" && sender?.kind === "not_found" && !recording.waiting.size;
}

function whyRefused() {
  if (deleted()) return "This recording was deleted on the server, and nothing of it is left here to send. Discard it.";
  return `${sender.why} The recording is kept in this browser.`;
}

function waiting() {
  if (sender?.state !== "waiting") return "";
  const goesOn = state === "sending" ? "Leave this page open." : "The recording goes on.";
  if (sender.kind === "login") return `${sender.why} Do it in another tab; then it is sent by itself. ${goesOn}`;
  return `${sender.why} What waits is sent by itself as soon as that is possible. ${goesOn}`;
}

function howFar() {
  const n = recording.waiting.size;
  if (sender.state === "waiting") return n ? `${pieces(n)} waiting to be sent` : "Waiting for the server";
  if (sender.state === "refused") return `${pieces(n)} not sent`;
  if (n) return `${pieces(n)} being sent`;
  const safe = `Up to ${clock((recording.number * recording.row.chunkSamples) / RATE)} it is on the server.`;
  const elsewhere = recording.row.base ? " It had closed the first part: the rest is a transcript of its own." : "";
  return (recording.number ? safe : "The first piece is being filled; this browser keeps it.") + elsewhere;
}

// One sentence for each cause; "" takes it away.
function problem(cause, sentence) {
  const box = part("problems");
  let notice = box.querySelector(`[data-cause=${cause}]`);
  if (!sentence) return notice?.remove();
  if (!notice) {
    notice = part("problem-template").content.firstElementChild.cloneNode(true);
    notice.dataset.cause = cause;
    box.append(notice);
  }
  const text = notice.querySelector("p");
  if (text.textContent !== sentence) text.textContent = sentence;
}

function storeRemedy(refusal) {
  const why = refusal.name === "QuotaExceededError" ? "This browser has no room left" : `This browser cannot store the recording (${refusal.message})`;
  return `${why}. What is not sent is in this tab alone: free some space, and leave the tab open until everything is sent.`;
}

// --- The page and the system ---------------------------------------------------------------------

function jobUrl() {
  return recording?.row.job ? `${jobs}${recording.row.job}/` : "";
}

function shortcut(event) {
  const control = event.ctrlKey || event.metaKey;
  if (event.altKey || event.shiftKey) return;
  if (event.key === "Enter" && control) {
    if (state === "idle" && !buttons.record.disabled) change(start);
    else if (state === "recording" || state === "paused") change(stop);
    else return;
  } else if (event.key === " " && !control && !event.target.closest?.(FIELDS)) {
    if (state === "recording") change(pause);
    else if (state === "paused") change(resume);
    else return;
  } else return;
  event.preventDefault();
}

async function stayAwake() {
  // Refused when the battery is low; the recording itself does not need it.
  wakeLock = (await navigator.wakeLock?.request("screen").catch(() => null)) ?? null;
}

function seen() {
  if (document.hidden) return recording?.saveTail();
  // The system takes it when the page is hidden.
  if (state === "recording") stayAwake();
  if (!recording) leftOver?.show();
}
