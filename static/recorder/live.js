// Sends a recording by a socket while it is spoken, so that its words come at once. What the socket has brought is not
// sent in pieces. While the socket does not carry anything, the sender sends pieces as if there were none.

import { LiveSocket, socketAddress } from "../live/socket.js";
import { RATE } from "./sound/capture.js";

const PER_MS = RATE / 1000;
const FRAME_SAMPLES = RATE;
// What is behind is sent at this many times the speed of speech.
const CATCH_UP = 20;
// What is more is sent faster in pieces.
const LONGEST_BEHIND_S = 45;
// If the server gets nothing for so long, the pieces are sent in the other way, too. After the stop people wait for it.
const STANDS_AFTER_MS = 10_000;
const STANDS_AFTER_STOP_MS = 3000;
const AGAIN_MS = 15_000;

export class Live {
  // `sockets` is the address below which each session has its socket. `have()` returns the id of the last final
  // segment that came by a socket, or undefined. `take(message)` gets what is said: segments and lag. `onChange()` is called after
  // each change; `poke()` when the sender has to look what there is to send.
  constructor(recording, { sockets, have, take, onChange, poke }) {
    Object.assign(this, { recording, sockets, have, onTake: take, onChange, poke });
    this.link = new LiveSocket(this);
    // Why the server stores what it gets, but hears nothing of it; and how far the words are behind.
    this.unavailable = "";
    this.lagMs = 0;
    this.begin();
    this.timer = setInterval(() => this.watch(), 1000);
  }

  // Begins with a session. Positions are samples since its beginning, except that the server counts in milliseconds.
  begin() {
    this.session = this.recording.row.session;
    this.position = this.receivedMs = this.savedMs = 0;
    this.movedAt = 0;
    this.carried = false;
  }

  open() {
    this.link.open();
  }

  close() {
    this.link.close();
    this.recording.shorten(false);
    this.poke();
  }

  // Call this when the server has answered in another way, so that it can be reached again.
  reached() {
    if (!this.link.blocked) this.link.nudge(true);
  }

  // Closes it for good.
  stop() {
    clearInterval(this.timer);
    this.link.close();
  }

  // Whether the text comes by the socket. If no live host hears the recording, it comes there, too, but later.
  get speaks() {
    return this.link.state === "live";
  }

  // Whether the socket brings everything, so that no pieces need to be sent.
  get carries() {
    if (this.link.state !== "live") return false;
    const patience = this.recording.row.stopped ? STANDS_AFTER_STOP_MS : STANDS_AFTER_MS;
    return this.arrived || performance.now() - this.movedAt < patience;
  }

  // Whether the server has everything that was recorded, by the socket.
  get arrived() {
    return this.link.state === "live" && this.receivedMs >= Math.floor(this.length / PER_MS);
  }

  // How many samples of this session were recorded.
  get length() {
    return this.recording.samples - this.recording.base;
  }

  // Call this when something was recorded or has changed.
  heard() {
    const { link, recording } = this;
    if (recording.row.session !== this.session) {
      const wanted = link.state !== "off";
      link.close();
      this.begin();
      if (wanted) link.open();
    }
    link.nudge();
    this.pump();
  }

  watch() {
    const { link, recording } = this;
    this.heard();
    // It may take a browser minutes to notice that a network is gone.
    if (link.state === "live" && !this.carries) link.drop();
    if (link.blocked && link.state !== "off") recording.shorten(true);
    if (this.carried !== this.carries) this.poke();
    this.carried = this.carries;
  }

  // --- What the socket asks for ------------------------------------------------------------------

  may() {
    const { recording, session } = this;
    const { row } = recording;
    // What is left after the stop goes in pieces.
    if (!session || row.session !== session || row.stopped) return false;
    if (this.receivedMs >= Math.floor(this.length / PER_MS)) return false;
    // The server must have short pieces before it can tell where the next ones end.
    if (recording.short && recording.waiting.size) return false;
    return recording.unsentSamples <= LONGEST_BEHIND_S * RATE;
  }

  address() {
    return socketAddress(`${this.sockets}${this.session}/live/`);
  }

  first() {
    // What was recorded before it came to this connection may come faster than it is spoken.
    const { job } = this.recording.row;
    return { type: "start", sample_rate: RATE, resume: this.length > FRAME_SAMPLES, have: this.have(), job };
  }

  take(message) {
    if (message.type === "ready") this.ready(message);
    else if (message.type === "saved") this.saved(message);
    else if (message.type === "error" && message.code === "live_unavailable") this.unavailable = message.detail;
    else if (message.type === "lag") this.lagMs = message.ms;
    else if (message.type === "job") this.follow(message.job);
    else if (message.type === "segment") this.onTake(message);
  }

  changed() {
    this.onChange();
  }

  // Somebody may have deleted the job elsewhere, and begun another one.
  follow(job) {
    const { recording } = this;
    if (recording.row.job === job) return;
    recording.row.job = job;
    recording.save();
  }

  ready({ received_ms, saved_ms, cuts_ms }) {
    const { recording } = this;
    this.unavailable = "";
    this.lagMs = 0;
    const position = received_ms * PER_MS;
    const here = position >= recording.first - recording.base && position <= this.length;
    if (!here || !recording.agrees(cuts_ms)) {
      // The pieces here are others than the server would make. It gets these, and is asked again.
      recording.shorten(true);
      this.link.again(recording.waiting.size ? 0 : AGAIN_MS);
      return this.poke();
    }
    recording.shorten(false);
    this.position = position;
    this.receivedMs = received_ms;
    this.movedAt = performance.now();
    this.forget(saved_ms);
    this.pump();
    this.poke();
  }

  saved({ received_ms, saved_ms }) {
    if (received_ms > this.receivedMs || saved_ms > this.savedMs) this.movedAt = performance.now();
    this.receivedMs = received_ms;
    this.forget(saved_ms);
    if (this.recording.row.stopped) this.poke();
  }

  // Removes the pieces that the server has put together.
  forget(savedMs) {
    this.savedMs = savedMs;
    const { recording } = this;
    for (const number of [...recording.waiting]) {
      if (Math.floor((recording.row.ends[number] - recording.base) / PER_MS) <= savedMs) recording.sent(number);
    }
  }

  // Sends what was recorded and not sent by this connection.
  async pump() {
    const { link, recording } = this;
    const { socket } = link;
    if (this.pumping === socket || link.state !== "live") return;
    this.pumping = socket;
    while (link.socket === socket && this.position < this.length) {
      const samples = await recording.samplesFrom(recording.base + this.position, FRAME_SAMPLES);
      if (link.socket !== socket) break;
      if (!samples) {
        // This piece has just been sent in the other way.
        link.again(0);
        break;
      }
      if (this.receivedMs >= Math.floor(this.position / PER_MS)) this.movedAt = performance.now();
      link.send(samples);
      this.position += samples.length;
      if (this.length - this.position > FRAME_SAMPLES) await pause((samples.length / RATE / CATCH_UP) * 1000);
    }
    // Somebody waits for the text, so the server should not wait for more audio before it stores this.
    if (link.socket === socket && recording.row.stopped) link.send(JSON.stringify({ type: "keep_alive" }));
    if (this.pumping === socket) this.pumping = null;
  }
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
