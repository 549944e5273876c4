// One file on its way to the server. What breaks off goes on from where the server is, for as long as the page is open.

import { discard, helpsLater, prepare, problemIn, problemOf, sameUser } from "./tus.js";
import { Later } from "../recorder/api.js";

// A browser that loses a connection may by itself send the same request again on a new one, from its beginning; and some
// proxies pass on only whole requests. So much may be sent in vain then.
const CHUNK_BYTES = 32 * 1024 * 1024;
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 15_000;
// So long nothing moves only where the network has vanished without a word, or the computer has slept.
const STALLED_MS = 60_000;
// All is sent, and the server stores it and looks at it.
const LOOKING_MS = 300_000;
const SPEED_OVER_MS = 8000;

export class Upload {
  // `site`: {endpoint, who, user}; `kept`: what this browser remembers.
  // state: chosen, queued, sending, waiting (then `why`, `kind` and `againAt`), paused, cancelling, done (then `job`), failed
  // (trying again helps) or refused; `why` is a sentence.
  constructor(file, site, kept) {
    Object.assign(this, { file, site, kept, state: "chosen", why: "", kind: "", job: null });
    this.sent = 0;
    this.acknowledged = 0;
    this.failures = 0;
    this.entry = null;
    this.onChange = () => {};
  }

  // Finds what an earlier page has sent of it.
  recall() {
    this.recalled ??= this.kept.take(this.file).then((entry) => (this.entry = entry));
    return this.recalled;
  }

  get looking() {
    return this.state === "sending" && this.sent === this.file.size;
  }

  get busy() {
    return ["queued", "sending", "waiting"].includes(this.state);
  }

  // Bytes per second lately; 0 while that is not known.
  get speed() {
    const [first] = this.marks ?? [];
    const ms = first ? Date.now() - first.at : 0;
    return ms >= 1000 ? Math.max(0, (1000 * (this.sent - first.sent)) / ms) : 0;
  }

  queue(metadata) {
    this.metadata = metadata;
    this.set("queued");
  }

  async start() {
    this.stop();
    const { file, site } = this;
    const upload = new tus.Upload(file, {
      endpoint: site.endpoint,
      metadata: this.metadata,
      chunkSize: CHUNK_BYTES,
      // The page waits and tries again itself, so that it can say so.
      retryDelays: null,
      fingerprint: async () => file.name,
      urlStorage: this.storage(),
      removeFingerprintOnSuccess: true,
      onBeforeRequest: (request) => this.before(upload, request),
      onAfterResponse: (request, response) => this.after(request, response),
      onProgress: (sent) => upload === this.current && this.moved(sent),
      onSuccess: ({ lastResponse }) => upload === this.current && this.succeeded(lastResponse),
      onError: (error) => upload === this.current && this.broke(problemOf(error)),
    });
    this.current = upload;
    this.heardAt = Date.now();
    this.set("sending");
    await this.recall();
    if (upload !== this.current) return;
    if (this.entry) upload.resumeFromPreviousUpload({ uploadUrl: this.entry.url, urlStorageKey: this.entry.key });
    upload.start();
  }

  // What tus-js-client calls a storage of addresses, of this file alone.
  storage() {
    return {
      addUpload: async (fingerprint, { uploadUrl }) => {
        this.entry = await this.kept.add(this.file, uploadUrl);
        return this.entry.key;
      },
      removeUpload: async () => this.forget(),
    };
  }

  async before(upload, request) {
    if (request.getMethod() === "POST") await sameUser(this.site);
    if (upload !== this.current) throw new Error("This try is over.");
    prepare(request);
  }

  // tus-js-client begins anew after every HEAD that fails. That is right only where the server has forgotten it.
  async after(request, response) {
    if (request.getMethod() !== "HEAD") return;
    const status = response.getStatus();
    if (status === 404 || status === 410) return sameUser(this.site);
    if (status >= 400) throw problemIn(response, "HEAD");
    const offset = Number(response.getHeader("Upload-Offset"));
    if (offset > this.acknowledged) this.failures = 0;
    this.acknowledged = offset;
  }

  moved(sent) {
    const at = Date.now();
    if (sent < this.sent || !this.marks) this.marks = [];
    this.heardAt = at;
    this.sent = sent;
    this.marks = this.marks.filter((mark) => mark.at > at - SPEED_OVER_MS);
    this.marks.push({ at, sent });
  }

  succeeded(response) {
    // Before the request is closed: then it has no headers.
    this.job = response.getHeader("Upload-Job");
    this.stop();
    this.set("done");
  }

  async broke(problem) {
    this.stop();
    if (!(problem instanceof Later)) {
      const later = helpsLater(problem);
      if (!later) this.forget();
      return this.set(later ? "failed" : "refused", problem.message);
    }
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.failures++) * (0.75 + Math.random() / 4);
    this.againAt = Date.now() + (problem.afterMs ?? wait);
    this.kind = problem.kind;
    this.set("waiting", problem.message);
    // To a browser it looks the same when the file cannot be read.
    if (problem.kind === "network" && !(await this.readable()) && this.state === "waiting") {
      this.set("refused", "The file has changed on your disk, or is gone. Choose it again.");
    }
  }

  async readable() {
    try {
      await this.file.slice(0, 1).arrayBuffer();
      return true;
    } catch {
      return false;
    }
  }

  // To be called about twice a second. By the wall clock, so that a computer that wakes up tries at once.
  tick() {
    const now = Date.now();
    if (this.state === "waiting" && now >= this.againAt) this.start();
    else if (this.state === "sending" && now - this.heardAt > (this.looking ? LOOKING_MS : STALLED_MS)) {
      this.broke(new Later("The connection stands still.", "network", 1));
    }
  }

  // The network is there again, or the person is back from logging in.
  wake() {
    if (this.state === "waiting" && this.kind !== "server") this.start();
  }

  pause() {
    this.stop();
    this.set("paused");
  }

  async cancel() {
    if (this.state === "cancelling") return;
    this.stop();
    // While the server is being told, nothing may begin it again.
    this.set("cancelling");
    const { entry } = this;
    this.entry = null;
    this.sent = 0;
    const gone = !entry || (await discard(entry.url));
    if (gone && entry) this.kept.forget(entry.key);
    else if (entry) this.kept.release(entry.key);
    this.set("failed", gone ? "Cancelled. Nothing was stored." : "Cancelled. The server cannot be told now; it deletes by itself what it has.");
  }

  // The row goes away; what the server has stays for another time.
  letGo() {
    this.stop();
    if (this.entry) this.kept.release(this.entry.key);
  }

  forget() {
    if (this.entry) this.kept.forget(this.entry.key);
    this.entry = null;
    this.acknowledged = 0;
  }

  stop() {
    this.current?.abort();
    this.current = null;
    this.marks = null;
  }

  set(state, why = "") {
    this.state = state;
    this.why = why;
    this.onChange();
  }
}
