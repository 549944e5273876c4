// Sends the chosen files one after the other to the API, each with its own bar, error and Cancel.

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

// What is known of each file: {file, row, key, state, request}; state: waiting, sending, done, failed, refused.
let items = [];
let sending = false;

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
  add(event.dataTransfer.files);
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!items.some((item) => item.state === "waiting")) return input.click();
  sendAll();
});

window.addEventListener("beforeunload", (event) => {
  if (sending) event.preventDefault();
});

function add(files) {
  for (const file of files) {
    const row = template.content.firstElementChild.cloneNode(true);
    const item = { file, row, key: newKey(), state: "waiting" };
    row.querySelector(".file-name").textContent = file.name;
    row.querySelector(".file-size").textContent = sizeOf(file.size);
    row.querySelector("[data-do=remove]").addEventListener("click", () => remove(item));
    row.querySelector("[data-do=again]").addEventListener("click", () => again(item));
    list.append(row);
    items.push(item);
    if (file.size > maxBytes) {
      fail(item, `This file is larger than ${sizeOf(maxBytes)}. Send the sound alone, or split the recording.`, false);
    }
  }
  update();
}

function remove(item) {
  if (item.state === "sending") return item.request.abort();
  items = items.filter((other) => other !== item);
  item.row.remove();
  update();
  drop.querySelector("label").focus();
}

function again(item) {
  note(item, "");
  set(item, "waiting");
  sendAll();
}

async function sendAll() {
  if (sending) return;
  sending = true;
  let item;
  while ((item = items.find((one) => one.state === "waiting"))) await sendOne(item);
  sending = false;
  update();
  const done = items.filter((one) => one.state === "done");
  // Of one file people want to see the transcript.
  if (items.length === 1 && done.length === 1) location.assign(done[0].page);
  else announce(`${done.length} of ${items.length} files are uploaded.`);
}

function sendOne(item) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    const bar = item.row.querySelector("progress");
    item.request = request;
    bar.setAttribute("aria-label", `Upload of ${item.file.name}`);
    set(item, "sending");
    announce(`${item.file.name} is being uploaded.`);

    request.upload.addEventListener("progress", (event) => {
      if (!event.lengthComputable) return;
      const percent = Math.floor((100 * event.loaded) / event.total);
      bar.value = percent;
      note(item, percent < 100 ? `${percent} %` : "The server looks at the file …");
    });
    request.addEventListener("load", () => answered(item, request));
    request.addEventListener("error", () => fail(item, "The connection broke off. Check your network and try again.", true));
    request.addEventListener("abort", () => fail(item, "Cancelled. Nothing was stored.", true));
    request.addEventListener("loadend", resolve);

    request.open("POST", form.dataset.url);
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("X-CSRFToken", form.elements.csrfmiddlewaretoken.value);
    // A repeated upload whose first answer was lost must not make a second transcript.
    request.setRequestHeader("Idempotency-Key", item.key);
    request.send(fields(item.file));
  });
}

function fields(file) {
  const data = new FormData();
  for (const name of ["language", "prompt", "priority"]) data.append(name, form.elements[name].value);
  const [engine, model] = (form.elements.engine_model?.value ?? "").split(/\/(.*)/s);
  if (engine) {
    data.append("engine", engine);
    data.append("model", model);
  }
  if (form.elements.translate_to?.checked) data.append("translate_to", form.elements.translate_to.value);
  data.append("file", file);
  return data;
}

function answered(item, request) {
  let answer = {};
  try {
    answer = JSON.parse(request.responseText);
  } catch {
    // What stands before the server may answer in its own words.
  }
  if (request.status === 201 || request.status === 200) {
    set(item, "done");
    note(item, "Uploaded");
    const link = document.createElement("a");
    link.className = "file-name";
    link.href = item.page = `${form.dataset.home}jobs/${answer.job.id}/`;
    link.textContent = item.file.name;
    item.row.querySelector(".file-name").replaceWith(link);
    return;
  }
  // The file itself is refused, or this moment is wrong.
  const laterHelps = request.status === 429 || request.status >= 500 || request.status === 401 || request.status === 403;
  const field = Object.values(answer.fields ?? {}).flat()[0];
  fail(item, field ?? answer.detail ?? `The server answered with status ${request.status}. Try again later.`, laterHelps);
  // A new try is a new request, unless the first answer was lost.
  item.key = newKey();
}

function fail(item, why, againHelps) {
  set(item, againHelps ? "failed" : "refused");
  note(item, why);
  announce(`${item.file.name}: ${why}`);
}

function set(item, state) {
  item.state = state;
  item.row.className = `file file-${state}`;
  item.row.querySelector("progress").hidden = state !== "sending";
  item.row.querySelector("[data-do=again]").hidden = state !== "failed";
  const button = item.row.querySelector("[data-do=remove]");
  button.hidden = state === "done";
  button.querySelector("span").textContent = state === "sending" ? "Cancel" : "Remove";
  button.setAttribute("aria-label", `${button.textContent.trim()} ${item.file.name}`);
  update();
}

function note(item, text) {
  item.row.querySelector(".file-note").textContent = text;
}

function announce(text) {
  announcement.textContent = text;
}

function update() {
  const waiting = items.filter((item) => item.state === "waiting").length;
  send.disabled = sending;
  if (sending) sendLabel.textContent = "Uploading …";
  else if (waiting > 1) sendLabel.textContent = `Upload and transcribe ${waiting} files`;
  else sendLabel.textContent = "Upload and transcribe";
  finished.hidden = sending || !items.some((item) => item.state === "done");
}

function sizeOf(bytes) {
  const units = ["bytes", "KB", "MB", "GB", "TB"];
  let at = 0;
  for (; bytes >= 1024 && at < units.length - 1; at++) bytes /= 1024;
  return `${at ? bytes.toFixed(1) : bytes} ${units[at]}`;
}

// crypto.randomUUID exists only over https and on localhost.
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
