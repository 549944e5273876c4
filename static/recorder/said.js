// The sentences of the recorder page about a recording on its way to the server.

import { clock } from "../lib/words.js";
import { RATE } from "./sound/capture.js";

// The words are always about a second behind.
const BEHIND_S = 4;

export const STATE_WORDS = { idle: "Ready", recording: "Recording", paused: "Paused", sending: "Sending …" };

// Returns why nothing is sent at the moment, or "".
export function whyNotSent({ state, sender, deleted }) {
  if (sender?.state === "refused") {
    if (deleted) return "This recording was deleted on the server, and nothing of it is left here to send. Discard it.";
    return `${sender.why} The recording is kept in this browser.`;
  }
  if (sender?.state !== "waiting") return "";
  const goesOn = state === "sending" ? "Leave this page open." : "The recording goes on.";
  if (sender.kind === "login") return `${sender.why} Do it in another tab; then it is sent by itself. ${goesOn}`;
  return `${sender.why} What waits is sent by itself as soon as that is possible. ${goesOn}`;
}

export function howFar({ recording, sender, live }) {
  const n = recording.waiting.size;
  if (sender.state === "waiting") return n ? `${pieces(n)} waiting to be sent` : "Waiting for the server";
  if (sender.state === "refused") return `${pieces(n)} not sent`;
  if (n && !live?.carries) return `${pieces(n)} being sent`;
  const safeS = Math.max(recording.first / RATE, live?.speaks ? recording.base / RATE + live.receivedMs / 1000 : 0);
  const safe = `Up to ${clock(safeS)} it is on the server.`;
  const elsewhere = recording.row.base ? " It had closed the first part: the rest is a transcript of its own." : "";
  return (safeS ? safe : "The first piece is being filled; this browser keeps it.") + elsewhere;
}

// Returns what a person should know about live words. `live` is null while nothing is recorded.
export function liveNote(live, { checked, disabled }) {
  const later = "The text follows some seconds after what is said.";
  if (disabled) return `Live words are not available at the moment. ${later}`;
  if (!checked) return later;
  if (!live) return "";
  const { state, refusal, blocked, lost, restarts } = live.link;
  if (refusal?.code === "taken_over") return `Another program sends this recording now. What is recorded here is kept. ${later}`;
  if (refusal?.code === "too_many") return "Too much is going on for live words; the text follows.";
  if (state === "live" && live.unavailable) return live.unavailable;
  if (lost && !blocked) return `${restarts ? "The server is being started again." : "Reconnecting."} Everything is kept.`;
  if (blocked) return later;
  const behindS = Math.round(live.lagMs / 1000);
  return live.speaks && behindS >= BEHIND_S ? `The words are ${behindS} s behind.` : "";
}

// Returns what a person can do if the browser cannot store something. `refusal` is the browser's error.
export function storeRemedy(refusal) {
  const full = refusal.name === "QuotaExceededError";
  const why = full ? "This browser has no room left" : `This browser cannot store the recording (${refusal.message})`;
  return `${why}. What is not sent is in this tab alone: free some space, and leave the tab open until everything is sent.`;
}

function pieces(n) {
  return n === 1 ? "1 piece" : `${n} pieces`;
}
