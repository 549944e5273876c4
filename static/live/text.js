// Shows the text of a recording while it grows: what is final in paragraphs, and behind it, paler, what is still being
// said. Nothing moves under a reader: the box never shrinks, and it scrolls only if its end is seen.

import { write } from "../lib/dom.js";
import { clock } from "../lib/words.js";

const PAUSE_MS = 2000;
const PARAGRAPH_CHARACTERS = 350;
const AT_END_PX = 40;
// Chinese and Japanese are written without spaces.
const WITHOUT_SPACES = /[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]/;
const SENTENCE_END = /[.?!…。！？]["'”’)]*$/;

export class GrowingText {
  constructor(box) {
    this.box = box;
    // A screen reader is not told what is still being said, because it changes each second.
    this.interim = document.createElement("span");
    this.interim.className = "interim";
    this.interim.ariaHidden = "true";
    this.firm = document.createElement("span");
    this.tail = document.createElement("span");
    this.tail.className = "interim-tail";
    this.interim.append(this.firm, this.tail);
    this.begin();
  }

  begin() {
    this.shown = [];
    this.last = this.into = this.ghost = undefined;
    this.characters = 0;
  }

  // Shows the final segments, in order of time, and {start_ms, end_ms, text, firm} of what is still being said, or null.
  show(segments, interim = null) {
    const { box } = this;
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < AT_END_PX;
    const same = this.shown.every((id, n) => id === segments[n]?.id);
    // A screen reader must read only the text that was added, and not all of it again, nor what was said before.
    const before = !this.shown.length && segments.length > 1;
    box.ariaLive = same && !before ? "polite" : "off";
    if (segments.length && !(same && this.shown.length)) {
      // What the server has written into the page stands there until then.
      box.replaceChildren();
      this.begin();
    }
    for (const segment of segments.slice(this.shown.length)) this.append(segment);
    this.shown = segments.map(({ id }) => id);
    this.place(interim);
    box.style.minHeight = box.childElementCount ? `${box.offsetHeight}px` : "";
    if (atEnd) box.scrollTop = box.scrollHeight;
  }

  append(segment) {
    const text = segment.text.trim();
    let added;
    if (this.begins(segment)) {
      // What was being said stood in a paragraph of its own, in the same place.
      this.ghost?.row.remove();
      this.ghost = undefined;
      this.characters = 0;
      added = paragraph(segment.start_ms);
      this.into = added.into;
    }
    const inside = this.interim.parentNode === this.into ? this.interim : null;
    this.into.insertBefore(document.createTextNode(this.apart(text) + text), inside);
    // It comes with its text, so that a screen reader reads it once.
    if (added) this.box.append(added.row);
    this.characters += text.length;
    this.last = { end_ms: segment.end_ms, text };
  }

  // Puts what is still being said where it will stand when it is final.
  place(interim) {
    const text = interim?.text.trim();
    const own = text && this.begins(interim);
    if (!own) {
      this.ghost?.row.remove();
      this.ghost = undefined;
    }
    if (!text) return this.interim.remove();
    if (own && !this.ghost) {
      this.ghost = paragraph(interim.start_ms);
      this.ghost.row.ariaHidden = "true";
      this.box.append(this.ghost.row);
    }
    const into = own ? this.ghost.into : this.into;
    if (this.interim.parentNode !== into) into.append(this.interim);
    // The server counts characters, and not halves of them.
    const characters = Array.from(text);
    write(this.firm, (own ? "" : this.apart(text)) + characters.slice(0, interim.firm ?? 0).join(""));
    write(this.tail, characters.slice(interim.firm ?? 0).join(""));
  }

  begins({ start_ms }) {
    const { last } = this;
    if (!last || start_ms - last.end_ms >= PAUSE_MS) return true;
    return this.characters >= PARAGRAPH_CHARACTERS && SENTENCE_END.test(last.text);
  }

  apart(text) {
    const joined = WITHOUT_SPACES.test(this.last?.text.slice(-1) ?? "") || WITHOUT_SPACES.test(text[0]);
    return this.characters && !joined ? " " : "";
  }
}

function paragraph(startMs) {
  const row = document.createElement("div");
  row.className = "paragraph";
  const time = document.createElement("span");
  time.className = "time";
  time.textContent = clock(startMs / 1000);
  const into = document.createElement("p");
  into.dir = "auto";
  row.append(time, into);
  return { row, into };
}
