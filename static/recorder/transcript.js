// Shows the text while it grows. Only new text is fetched, unless text before it has changed.

import { ask, Later, Refused } from "../lib/ask.js";
import { HIDDEN_MS, untilNews } from "../lib/waits.js";
import { clock } from "../lib/words.js";

// The status is asked only at every sixth request, because requests are limited by the hour, and it is not urgent to
// know that a job has failed.
const STATUS_EVERY = 6;
const PER_PAGE = 100;
const PAUSE_MS = 2000;
const PARAGRAPH_CHARACTERS = 350;
// Chinese and Japanese are written without spaces.
const WITHOUT_SPACES = /[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]/;

export class Transcript {
  // `jobUrl()` returns the address of the job, or "" while there is none. `onProblem(sentence)` gets the reason why no
  // text comes, or "".
  constructor(box, jobUrl, onProblem) {
    Object.assign(this, { box, jobUrl, onProblem });
    this.segments = [];
    this.asked = 0;
  }

  start() {
    this.stopped = false;
    this.poll();
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  async poll() {
    let waitMs = untilNews();
    const url = this.jobUrl();
    try {
      if (url) await this.refresh(url);
    } catch (problem) {
      // The sender tells the person about these problems.
      if (!(problem instanceof Later || problem instanceof Refused)) throw problem;
      waitMs = problem.afterMs ?? HIDDEN_MS;
    }
    if (!this.stopped) this.timer = setTimeout(() => this.poll(), waitMs);
  }

  async refresh(url) {
    if (this.asked++ % STATUS_EVERY === 0) {
      const job = await ask(`${url}status/`);
      this.onProblem({ failed: job.error, cancelled: "The transcript was cancelled." }[job.status] ?? "");
    }
    const full = Math.floor(this.segments.length / PER_PAGE);
    let found = await this.from(url, full + 1, this.segments.slice(0, full * PER_PAGE));
    // A new segment came before the last page, so the segments have moved between the pages.
    if (new Set(found.all.map(({ id }) => id)).size !== found.count) found = await this.from(url, 1, []);
    this.show(found.all.filter((segment) => segment.text.trim()));
    this.segments = found.all;
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

  show(segments) {
    const shown = this.shown ?? [];
    const same = shown.every((id, n) => id === segments[n]?.id);
    if (same && shown.length === segments.length) return;
    const { box } = this;
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
    // A screen reader must read only the text that was added, and not all of it again.
    box.ariaLive = same ? "polite" : "off";
    if (!same || !shown.length) {
      box.replaceChildren();
      this.last = undefined;
    }
    for (const segment of segments.slice(same ? shown.length : 0)) this.append(segment);
    this.shown = segments.map(({ id }) => id);
    if (atEnd) box.scrollTop = box.scrollHeight;
  }

  append(segment) {
    const { last } = this;
    const sentenceEnds = /[.?!…。！？]["'”’)]*$/.test(last?.text ?? "");
    const far = !last || segment.start_ms - last.end_ms >= PAUSE_MS;
    if (far || (this.characters >= PARAGRAPH_CHARACTERS && sentenceEnds)) this.paragraph(segment.start_ms);
    const text = segment.text.trim();
    const apart = this.characters && !(WITHOUT_SPACES.test(last.text.slice(-1)) || WITHOUT_SPACES.test(text[0]));
    this.into.append(apart ? ` ${text}` : text);
    this.characters += text.length;
    this.last = { end_ms: segment.end_ms, text };
  }

  paragraph(startMs) {
    const row = document.createElement("div");
    row.className = "paragraph";
    const time = document.createElement("span");
    time.className = "time";
    time.textContent = clock(startMs / 1000);
    this.into = document.createElement("p");
    this.characters = 0;
    row.append(time, this.into);
    this.box.append(row);
  }
}
