// Sends one recording: creates its session, sends each piece until the server has it, and finishes.

import { ask, Later, Refused } from "./api.js";

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 15_000;

export class Sender {
  // `urls`: {sessions, who}. `userName`: whose recording it is, for people. After `aliveMs` without anything to
  // send the server is told that the recording only pauses.
  constructor(recording, urls, userName, aliveMs) {
    Object.assign(this, { recording, urls, userName, aliveMs });
    this.heardAt = performance.now();
    // sending, waiting (Later's kind in `kind`), refused (its code in `kind`) or done; `why` is a sentence.
    this.state = "sending";
    this.kind = this.why = "";
    this.force = false;
    this.gone = false;
    this.onChange = () => {};
    this.wake = () => {};
    this.online = () => this.wake();
    window.addEventListener("online", this.online);
  }

  get row() {
    return this.recording.row;
  }

  // Resolves to the job's id when the server has everything, to null when there was nothing to send.
  async run() {
    let failures = 0;
    while (this.state !== "done" && !this.gone) {
      const step = this.next();
      try {
        if (step) await step();
        if (step) this.heardAt = performance.now();
        failures = 0;
        if (this.state !== "done") this.set("sending");
        if (this.state !== "done" && !this.next()) await this.sleep(this.aliveMs);
      } catch (problem) {
        if (problem instanceof Refused) {
          this.set("refused", problem.message, problem.code);
          await this.sleep();
        } else if (problem instanceof Later) {
          this.set("waiting", problem.message, problem.kind);
          await this.sleep(problem.afterMs ?? wait(failures++));
        } else throw problem;
      }
    }
    window.removeEventListener("online", this.online);
    return this.row.job ?? null;
  }

  // A new piece, or the end.
  poke() {
    if (this.state === "sending") this.wake();
  }

  tryAgain() {
    this.wake();
  }

  // Without it nothing more is sent from here.
  stop() {
    this.gone = true;
    this.wake();
  }

  // What the server has of it stays there.
  async discard() {
    await this.recording.forget();
    this.row.job = undefined;
    this.stop();
  }

  sleep(ms) {
    if (this.gone) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  set(state, why = "", kind = "") {
    Object.assign(this, { state, why, kind });
    this.onChange();
  }

  next() {
    const { row, recording } = this;
    const nothing = row.stopped && recording.number === 0;
    if (nothing) return () => this.giveUp();
    if (!row.session) return () => this.create();
    if (recording.waiting.size) return () => this.sendPiece(Math.min(...recording.waiting));
    if (row.title !== row.sentTitle) return () => this.rename();
    if (row.stopped) return () => this.finish();
    if (performance.now() - this.heardAt >= this.aliveMs) return () => this.rename();
    return null;
  }

  get sessionUrl() {
    return `${this.urls.sessions}${this.row.session}/`;
  }

  // Someone else may have logged in in another tab: nothing of this goes into their account.
  async sameUser() {
    const { user } = await ask(this.urls.who);
    if (user === this.row.user) return;
    const other = user === null ? "You are logged out." : "Someone else is logged in.";
    throw new Later(`${other} Log in as ${this.userName}.`, "login");
  }

  async ask(url, options) {
    try {
      return await ask(url, options);
    } catch (problem) {
      // What is not there may be there for its owner.
      if ((problem instanceof Refused && problem.status === 404) || problem.kind === "login") await this.sameUser();
      throw problem;
    }
  }

  async create() {
    await this.sameUser();
    const { row } = this;
    const title = row.title;
    const body = { ...row.options, title, source: "recorder" };
    const session = await ask(this.urls.sessions, { method: "POST", body, key: row.key });
    Object.assign(row, { session: session.id, job: session.job.id, sentTitle: title });
    await this.recording.save();
  }

  // Other options, after the server refused these.
  async change(options) {
    Object.assign(this.row, { options, key: crypto.randomUUID() });
    await this.recording.save();
    this.tryAgain();
  }

  async sendPiece(number) {
    const piece = await this.recording.piece(number);
    const body = new FormData();
    body.append("number", number - this.row.base);
    body.append("duration_ms", Math.round(piece.samples / 16));
    body.append("sha256", piece.sha256);
    body.append("file", new Blob([piece.wav], { type: "audio/wav" }), `${number}.wav`);
    try {
      await this.ask(`${this.sessionUrl}chunks/`, { method: "POST", body });
    } catch (problem) {
      if (!["session_finished", "not_found"].includes(problem.code)) throw problem;
      return this.goOnElsewhere(number);
    }
    await this.recording.sent(number);
  }

  // The server has closed the session because nothing came for too long, or someone has deleted it. What was not
  // sent is a recording of its own.
  goOnElsewhere(number) {
    const { row } = this;
    const title = row.title && `${row.title.slice(0, 180)} (continued)`;
    Object.assign(row, { session: undefined, job: undefined, key: crypto.randomUUID(), base: number, title });
    return this.recording.save();
  }

  async rename() {
    const { title } = this.row;
    await this.ask(this.sessionUrl, { method: "PATCH", body: { title } });
    this.row.sentTitle = title;
    await this.recording.save();
  }

  async finish() {
    await this.recording.saving;
    const { row, recording } = this;
    const body = { chunks: recording.number - row.base, force: this.force };
    try {
      await this.ask(`${this.sessionUrl}finish/`, { method: "POST", body });
    } catch (problem) {
      if (problem.code !== "chunks_missing") throw problem;
      // The server had them, and there is no other copy: better with a gap than not at all.
      this.force = true;
      return;
    }
    await recording.forget();
    this.set("done");
  }

  async giveUp() {
    if (this.row.session) await this.ask(this.sessionUrl, { method: "DELETE" });
    this.row.job = undefined;
    await this.recording.forget();
    this.set("done");
  }
}

// With jitter, so that those who lost the same server do not come back at the same moment.
function wait(failures) {
  return Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** failures) * (0.75 + Math.random() / 4);
}
