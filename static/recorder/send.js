// Sends one recording: creates its session, sends each piece until the server has it, and finishes.

import { ask, Later, Refused, sameUser } from "../lib/ask.js";
import { untilRetry } from "../lib/waits.js";

// The wait after so many failures is 3 to 4 s.
const SOON = 2;

export class Sender {
  // `urls` is {sessions, who}. `userName` is the name of the person whose recording this is, for sentences. After
  // `aliveMs` without anything to send, the server is told that the recording only pauses.
  constructor(recording, urls, userName, aliveMs) {
    Object.assign(this, { recording, urls, userName, aliveMs });
    this.heardAt = performance.now();
    // The state is sending, waiting (`kind` is that of Later), refused (`kind` is the code) or done. `why` is a
    // sentence.
    this.state = "sending";
    this.kind = this.why = "";
    this.force = false;
    this.gone = false;
    // The Live of this recording, if it has one.
    this.live = null;
    this.onChange = () => {};
    this.wake = () => {};
    this.online = () => this.wake();
    window.addEventListener("online", this.online);
  }

  get row() {
    return this.recording.row;
  }

  // Sends the recording. Resolves to the job's id when the server has everything, or to null if there was nothing to
  // send.
  async run() {
    let failures = 0;
    while (this.state !== "done" && !this.gone) {
      const step = this.next();
      try {
        if (step) {
          await step();
          this.heardAt = performance.now();
          this.live?.reached();
        }
        failures = 0;
        if (this.state !== "done") this.set("sending");
        if (this.state !== "done" && !this.next()) await this.sleep(this.aliveMs);
      } catch (problem) {
        if (problem instanceof Refused) {
          this.set("refused", problem.message, problem.code);
          await this.sleep();
        } else if (problem instanceof Later) {
          this.set("waiting", problem.message, problem.kind);
          // After the stop somebody waits for the text.
          const n = this.row.stopped ? Math.min(failures, SOON) : failures;
          failures++;
          await this.sleep(problem.afterMs ?? untilRetry(n));
        } else throw problem;
      }
    }
    window.removeEventListener("online", this.online);
    return this.row.job ?? null;
  }

  // Call this when there is a new piece, or when the recording has ended.
  poke() {
    if (this.state === "sending") this.wake();
  }

  tryAgain() {
    this.wake();
  }

  // Stops the sender. Nothing more is sent from this page.
  stop() {
    this.gone = true;
    this.wake();
  }

  // Discards the recording in this browser. The part that the server has stays there.
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
    const { row, recording, live } = this;
    const nothing = row.stopped && recording.number === 0;
    if (nothing) return () => this.giveUp();
    if (!row.session) return () => this.create();
    if (recording.waiting.size && !live?.carries) return () => this.sendPiece(Math.min(...recording.waiting));
    if (row.title !== row.sentTitle) return () => this.rename();
    if (row.stopped && (live?.arrived || !recording.waiting.size)) return () => this.finish();
    if (performance.now() - this.heardAt >= this.aliveMs) return () => this.rename();
    return null;
  }

  get sessionUrl() {
    return `${this.urls.sessions}${this.row.session}/`;
  }

  sameUser() {
    return sameUser(this.urls.who, this.row.user, ` Log in as ${this.userName}.`);
  }

  async ask(url, options) {
    try {
      return await ask(url, options);
    } catch (problem) {
      // The server answers 404 for a session of somebody else, so it may be there for another account.
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

  // Changes the options after the server refused them.
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

  // Goes on in another session: the server has closed this one because nothing came for too long, or somebody has
  // deleted it. The pieces that were not sent become a recording of their own.
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
      // The server has put together others than it got by the socket. So it gets these.
      if (recording.waiting.size) return this.live.close();
      // The server had these pieces, and there is no other copy. A recording with a gap is better than none.
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
