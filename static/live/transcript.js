// Gets the text of a job while it grows, and shows it. The text comes by a socket, or is asked for while there is none:
// only new text, unless text before it has changed.

import { ask, Later, Refused } from "../lib/ask.js";
import { HIDDEN_MS, untilNews } from "../lib/waits.js";

// The status is asked only at every sixth request, because requests are limited by the hour, and it is not urgent to
// know that a job has failed.
const STATUS_EVERY = 6;
const PER_PAGE = 100;
// What comes within this time is shown together.
const TOGETHER_MS = 30;

export class Transcript {
  // `text` is a GrowingText. `jobs` is the address of all jobs. `job()` returns the id of the job, or "" while there is
  // none. `onProblem(sentence)` gets the reason why no text comes, or "".
  constructor(text, jobs, job, onProblem = () => {}) {
    Object.assign(this, { text, jobs, job, onProblem });
    // Whether text comes by the socket.
    this.live = false;
    this.asked = 0;
    this.forget();
  }

  forget() {
    // The segments that were asked for, as the server orders them, and those that came by the socket, by their ids.
    this.segments = [];
    this.finals = new Map();
    this.interim = null;
    this.last = undefined;
  }

  start() {
    this.stopped = false;
    this.poll();
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  // Returns the id of the last final segment that came by a socket, as the messages have it, or undefined.
  get have() {
    return this.last === undefined ? undefined : `u${this.last}`;
  }

  // Call this when the socket says of which job its segments are. Returns whether they were of another one before.
  comesOf(job) {
    const another = this.told !== undefined && this.told !== job;
    this.told = job;
    return another;
  }

  // Takes a segment from the socket. Segments have numbers there; their ids are made of the job's and the number.
  take(message) {
    this.follow();
    const number = Number(message.id.slice(1));
    if (message.kind === "final") {
      this.finals.set(`${this.known}-${number}`, { ...message, id: `${this.known}-${number}` });
      this.last = Math.max(this.last ?? 0, number);
      if (this.interim?.number <= number) this.interim = null;
    } else this.interim = message.text.trim() ? { ...message, number } : null;
    this.showing ??= setTimeout(() => this.show(), TOGETHER_MS);
  }

  // Call this when the socket begins or ceases to bring text.
  speaks(live) {
    if (live === this.live) return;
    this.live = live;
    // What was being said stands there until there is news, so that a short interruption is not seen.
    if (live) this.interim = null;
  }

  // A recording may go on in another session, whose text begins anew.
  follow() {
    const job = this.job();
    if (this.known === job) return;
    if (this.known) this.forget();
    this.known = job;
  }

  async poll() {
    let waitMs = untilNews();
    try {
      if (this.job()) await this.refresh();
    } catch (problem) {
      // The sender tells the person about these problems.
      if (!(problem instanceof Later || problem instanceof Refused)) throw problem;
      waitMs = problem.afterMs ?? HIDDEN_MS;
    }
    if (!this.stopped) this.timer = setTimeout(() => this.poll(), waitMs);
  }

  async refresh() {
    this.follow();
    const url = `${this.jobs}${this.known}/`;
    if (this.asked++ % STATUS_EVERY === 0) {
      const job = await ask(`${url}status/`);
      this.onProblem({ failed: job.error, cancelled: "The transcript was cancelled." }[job.status] ?? "");
    }
    if (this.live) return;
    const full = Math.floor(this.segments.length / PER_PAGE);
    let found = await this.from(url, full + 1, this.segments.slice(0, full * PER_PAGE));
    // A new segment came before the last page, so the segments have moved between the pages.
    if (new Set(found.all.map(({ id }) => id)).size !== found.count) found = await this.from(url, 1, []);
    this.segments = found.all;
    this.show();
  }

  async from(url, page, known) {
    const all = [...known];
    for (let next = true; next; page++) {
      const answer = await ask(`${url}segments/?page_size=${PER_PAGE}&page=${page}`);
      all.push(...answer.results);
      next = answer.next;
      if (!next) return { all, count: answer.count };
    }
  }

  show() {
    clearTimeout(this.showing);
    this.showing = undefined;
    const asked = new Set(this.segments.map(({ id }) => id));
    const came = [...this.finals.values()].filter(({ id }) => !asked.has(id));
    const all = [...this.segments, ...came].filter(({ text }) => text.trim());
    if (came.length) all.sort((a, b) => a.start_ms - b.start_ms);
    this.text.show(all, this.live ? this.interim : null);
  }
}
