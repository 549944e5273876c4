// The upload page: it sends the chosen files, each with its own bar, error, Pause and Cancel. If this script cannot run
// in a browser, the form is sent as it is.

import { part, write } from "../lib/dom.js";
import { sizeOf } from "../lib/words.js";
import { chosenOptions } from "../options/chosen.js";
import { Kept } from "./kept.js";
import { Row } from "./row.js";
import { Unfinished } from "./unfinished.js";
import { Upload } from "./upload.js";

const AT_ONCE = 2;
const TICK_MS = 500;

const form = part("upload");
const input = part("id_file");
const drop = part("drop");
const list = part("files");
const send = part("send");
const sendLabel = part("send-label");
const finished = part("finished");
const announcement = part("upload-status");
const maxBytes = Number(form.dataset.maxBytes);
const { endpoint, who, user, userName, home } = form.dataset;
const site = { endpoint: new URL(endpoint, location.href).href, who, user };
const logIn = `Log in as ${userName} in another tab; then this goes on by itself.`;

const kept = new Kept(user);
const unfinished = new Unfinished(kept, (file) => add([file], true));
// Each file has one row.
let rows = [];

if (window.tus?.isSupported) begin();

function begin() {
  document.documentElement.classList.add("js");
  input.addEventListener("change", () => {
    add(input.files);
    // The field is emptied, so that the same file can be chosen again, and nothing is sent twice.
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
    const chosen = rows.filter(({ upload }) => upload.state === "chosen");
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

// Adds files. With `atOnce`, they are sent without the button. `folders` has the names of folders, which look like
// files here.
async function add(files, atOnce = busy(), folders = new Set()) {
  await Promise.all(Array.from(files, (file) => addOne(file, atOnce, folders.has(file.name))));
}

async function addOne(file, atOnce, isFolder) {
  const upload = new Upload(file, site, kept);
  const does = {
    pause: () => upload.pause(),
    resume: () => upload.queue(options(file)),
    again: () => (upload.state === "waiting" ? upload.start() : upload.queue(options(file))),
    remove: () => (upload.removable ? remove(row) : upload.cancel()),
  };
  const row = new Row(upload, { does, pageOf, logIn });
  list.append(row.element);
  rows.push(row);
  upload.onChange = () => changed(row);
  if (isFolder) {
    upload.set("refused", "This is a folder. Choose the files in it.");
  } else if (file.size > maxBytes) {
    upload.set("refused", `This file is larger than ${sizeOf(maxBytes)}. Send the sound alone, or split the recording.`);
  } else if (file.size === 0) {
    upload.set("refused", "This file is empty.");
  } else {
    row.show();
    update();
    await upload.recall();
    if (upload.entry) unfinished.remove(upload.entry.key);
    row.show();
    // The person may have pressed the button before this.
    if (atOnce && upload.state === "chosen") upload.queue(options(file));
  }
}

function remove(row) {
  row.upload.letGo();
  rows = rows.filter((other) => other !== row);
  row.element.remove();
  pump();
  input.focus();
}

function busy() {
  return rows.some(({ upload }) => upload.busy);
}

function options(file) {
  return { filename: file.name, filetype: file.type, ...chosenOptions(form) };
}

// --- What happens by itself ----------------------------------------------------------------------

function changed(row) {
  row.show();
  tell(row.upload);
  pump();
  if (row.upload.state === "done" && !busy()) leave();
}

function pump() {
  const going = rows.filter(({ upload }) => upload.state === "sending" || upload.state === "waiting").length;
  const next = rows.find(({ upload }) => upload.state === "queued");
  // When its state changes, this function runs again.
  if (next && going < AT_ONCE) next.upload.start();
  else update();
}

function tick() {
  for (const row of rows) {
    row.upload.tick();
    if (row.upload.busy) row.show();
  }
}

function wake() {
  for (const { upload } of rows) upload.wake();
}

function leave() {
  const done = rows.filter(({ upload }) => upload.state === "done");
  // If there was only one file, people want to see its transcript.
  if (rows.length === 1 && done[0].upload.job) location.assign(pageOf(done[0].upload));
  else announce(`${done.length} of ${rows.length} files are uploaded.`);
}

function pageOf({ job }) {
  return job ? `${home}jobs/${job}/` : home;
}

// --- What is seen --------------------------------------------------------------------------------

function tell({ state, why, file, kind }) {
  const said = {
    sending: "is being uploaded.",
    paused: "is paused.",
    done: "is uploaded.",
    waiting: kind === "login" ? `${why} ${logIn}` : `${why} It is tried again by itself.`,
    failed: why,
    refused: why,
  };
  if (said[state]) announce(`${file.name}: ${said[state]}`);
}

function announce(text) {
  write(announcement, text);
}

function update() {
  const chosen = rows.filter(({ upload }) => upload.state === "chosen").length;
  send.disabled = busy();
  if (busy()) sendLabel.textContent = "Uploading …";
  else if (chosen > 1) sendLabel.textContent = `Upload and transcribe ${chosen} files`;
  else sendLabel.textContent = "Upload and transcribe";
  finished.hidden = busy() || !rows.some(({ upload }) => upload.state === "done");
}
