// The upload page: sends the chosen files, each with its own bar, error, Pause and Cancel. Without this script, or
// without what it needs of the browser, the form is sent as it stands.

import { clock } from "../recorder/words.js";
import { Kept } from "./kept.js";
import { Unfinished } from "./unfinished.js";
import { Upload } from "./upload.js";
import { sizeOf } from "./words.js";

const AT_ONCE = 2;
const TICK_MS = 500;

const form = document.getElementById("upload");
const input = document.getElementById("id_file");
const drop = document.getElementById("drop");
const list = document.getElementById("files");
const send = document.getElementById("send");
const sendLabel = document.getElementById("send-label");
const finished = document.getElementById("finished");
const announcement = document.getElementById("upload-status");
const template = document.getElementById("file-template");
const maxBytes = Number(form.dataset.maxBytes);
const { endpoint, who, user, userName, home } = form.dataset;
const site = { endpoint: new URL(endpoint, location.href).href, who, user };
const LOG_IN = `Log in as ${userName} in another tab; then this goes on by itself.`;

const kept = new Kept(user);
const unfinished = new Unfinished(kept, (file) => add([file], true));
// Of each file: {upload, row}
let items = [];

if (window.tus?.isSupported) begin();

function begin() {
  document.documentElement.classList.add("js");
  input.addEventListener("change", () => {
    add(input.files);
    // So that the same file can be chosen again, and nothing is sent twice.
    input.value = "";
  });
  for (const name of ["dragenter", "dragover"]) {
    window.addEventListener(name, (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      drop.classList.add("drop-over");
    });
  }
  window.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) drop.classList.remove("drop-over");
  });
  window.addEventListener("drop", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    drop.classList.remove("drop-over");
    const entries = Array.from(event.dataTransfer.items, (item) => item.webkitGetAsEntry());
    add(event.dataTransfer.files, busy(), new Set(entries.filter((entry) => entry?.isDirectory).map(({ name }) => name)));
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const chosen = items.filter(({ upload }) => upload.state === "chosen");
    if (!chosen.length) return input.click();
    for (const { upload } of chosen) upload.queue(options(upload.file));
  });
  window.addEventListener("beforeunload", (event) => {
    if (busy()) event.preventDefault();
  });
  window.addEventListener("online", wake);
  window.addEventListener("focus", wake);
  setInterval(tick, TICK_MS);
  unfinished.show();
}

// --- The files -----------------------------------------------------------------------------------

// `atOnce`: without waiting for the button. `folders`: the names of those that are none, but look like files here.
async function add(files, atOnce = busy(), folders = new Set()) {
  await Promise.all(Array.from(files, (file) => addOne(file, atOnce, folders.has(file.name))));
}

async function addOne(file, atOnce, isFolder) {
  const row = template.content.firstElementChild.cloneNode(true);
  const upload = new Upload(file, site, kept);
  const item = { upload, row };
  row.querySelector(".file-name").textContent = file.name;
  row.querySelector(".file-size").textContent = sizeOf(file.size);
  row.querySelector("progress").setAttribute("aria-label", `Upload of ${file.name}`);
  const press = (name, act) => row.querySelector(`[data-do=${name}]`).addEventListener("click", act);
  press("pause", () => upload.pause());
  press("resume", () => upload.queue(options(file)));
  press("again", () => (upload.state === "waiting" ? upload.start() : upload.queue(options(file))));
  press("remove", () => (removable(upload) ? remove(item) : upload.cancel()));
  list.append(row);
  items.push(item);
  upload.onChange = () => changed(item);
  if (isFolder) {
    upload.set("refused", "This is a folder. Choose the files in it.");
  } else if (file.size > maxBytes) {
    upload.set("refused", `This file is larger than ${sizeOf(maxBytes)}. Send the sound alone, or split the recording.`);
  } else if (file.size === 0) {
    upload.set("refused", "This file is empty.");
  } else {
    show(item);
    update();
    await upload.recall();
    if (upload.entry) unfinished.remove(upload.entry.key);
    show(item);
    // The button may have been faster.
    if (atOnce && upload.state === "chosen") upload.queue(options(file));
  }
}

function remove(item) {
  item.upload.letGo();
  items = items.filter((other) => other !== item);
  item.row.remove();
  pump();
  input.focus();
}

function removable({ state }) {
  return ["chosen", "queued", "failed", "refused"].includes(state);
}

function busy() {
  return items.some(({ upload }) => upload.busy);
}

// The fields are called as the API calls its options. One list stands for two of them.
function options(file) {
  const chosen = { filename: file.name, filetype: file.type };
  for (const [name, value] of new FormData(form)) {
    if (name === "csrfmiddlewaretoken" || name === input.name || value === "") continue;
    if (!name.endsWith("engine_model")) chosen[name] = value;
    else {
      const before = name.slice(0, -"engine_model".length);
      const [engine, model] = value.split(/\/(.*)/s);
      chosen[`${before}engine`] = engine;
      if (model) chosen[`${before}model`] = model;
    }
  }
  return chosen;
}

// --- What happens by itself ----------------------------------------------------------------------

function changed(item) {
  show(item);
  tell(item.upload);
  pump();
  if (item.upload.state === "done" && !busy()) leave();
}

function pump() {
  const going = items.filter(({ upload }) => upload.state === "sending" || upload.state === "waiting").length;
  const next = items.find(({ upload }) => upload.state === "queued");
  // Its change leads here again.
  if (next && going < AT_ONCE) next.upload.start();
  else update();
}

function tick() {
  for (const item of items) {
    item.upload.tick();
    if (item.upload.busy) show(item);
  }
}

function wake() {
  for (const { upload } of items) upload.wake();
}

function leave() {
  const done = items.filter(({ upload }) => upload.state === "done");
  // Of one file people want to see the transcript.
  if (items.length === 1 && done[0].upload.job) location.assign(page(done[0].upload));
  else announce(`${done.length} of ${items.length} files are uploaded.`);
}

function page({ job }) {
  return job ? `${home}jobs/${job}/` : home;
}

// --- What is seen --------------------------------------------------------------------------------

function show({ upload, row }) {
  const { state, looking } = upload;
  const bar = row.querySelector("progress");
  const button = (name) => row.querySelector(`[data-do=${name}]`);
  const focused = document.activeElement;
  row.className = `file file-${state}`;
  bar.hidden = !["sending", "waiting", "paused"].includes(state);
  bar.value = percent(upload);
  button("pause").hidden = state !== "sending" || looking;
  button("resume").hidden = state !== "paused";
  button("again").hidden = state !== "failed" && state !== "waiting";
  label(button("again"), state === "waiting" ? "Try now" : "Try again", upload);
  button("remove").hidden = state === "done" || looking;
  label(button("remove"), removable(upload) ? "Remove" : "Cancel", upload);
  for (const name of ["pause", "resume"]) label(button(name), button(name).textContent.trim(), upload);
  const note = row.querySelector(".file-note");
  const text = noteOf(upload);
  if (note.textContent !== text) note.textContent = text;
  if (state === "done") link(upload, row);
  // The keyboard stays with the file when its button goes.
  if (row.contains(focused) && focused.hidden) row.querySelector("button:not([hidden]), a")?.focus();
}

function label(button, text, { file }) {
  const words = button.querySelector("span");
  if (words.textContent !== text) words.textContent = text;
  button.setAttribute("aria-label", `${text} ${file.name}`);
}

function link(upload, row) {
  const name = row.querySelector("span.file-name");
  if (!name) return;
  const anchor = document.createElement("a");
  anchor.className = "file-name";
  anchor.href = page(upload);
  anchor.textContent = upload.file.name;
  name.replaceWith(anchor);
}

function percent({ sent, file }) {
  return file.size ? Math.floor((100 * sent) / file.size) : 0;
}

function noteOf(upload) {
  switch (upload.state) {
    case "chosen":
      return upload.entry ? "A part of it is on the server already. The rest is sent with the options of then." : "";
    case "queued":
      return "Waiting for its turn";
    case "sending":
      return upload.looking ? "The server looks at the file …" : howFar(upload);
    case "waiting":
      if (upload.kind === "login") return `${upload.why} ${LOG_IN}`;
      return `${upload.why} Trying again in ${inWords(upload.againAt - Date.now())}.`;
    case "cancelling":
      return "Cancelling …";
    case "paused":
      return `Paused at ${percent(upload)} %`;
    case "done":
      return "Uploaded";
    default:
      return upload.why;
  }
}

function howFar(upload) {
  const { speed, sent, file } = upload;
  if (!speed) return `${percent(upload)} %`;
  return `${percent(upload)} %, ${sizeOf(speed)}/s, ${inWords((1000 * (file.size - sent)) / speed)} left`;
}

// 7 s, 3:20 min, 1:02:03 h
function inWords(ms) {
  const seconds = Math.max(1, Math.ceil(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  return `${clock(seconds)} ${seconds < 3600 ? "min" : "h"}`;
}

function tell({ state, why, file, kind }) {
  const said = {
    sending: "is being uploaded.",
    paused: "is paused.",
    done: "is uploaded.",
    waiting: kind === "login" ? `${why} ${LOG_IN}` : `${why} It is tried again by itself.`,
    failed: why,
    refused: why,
  };
  if (said[state]) announce(`${file.name}: ${said[state]}`);
}

function announce(text) {
  if (announcement.textContent !== text) announcement.textContent = text;
}

function update() {
  const chosen = items.filter(({ upload }) => upload.state === "chosen").length;
  send.disabled = busy();
  if (busy()) sendLabel.textContent = "Uploading …";
  else if (chosen > 1) sendLabel.textContent = `Upload and transcribe ${chosen} files`;
  else sendLabel.textContent = "Upload and transcribe";
  finished.hidden = busy() || !items.some(({ upload }) => upload.state === "done");
}
