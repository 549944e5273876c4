// One file on its way to the server. After a break, it goes on at the offset of the server, while the page is open.

import { Later, sameUser } from "../lib/ask.js";
import { untilRetry } from "../lib/waits.js";
import { discard, helpsLater, prepare, problemIn, problemOf } from "./tus.js";

// One request sends at most this much. A browser that loses a connection may send the same request again from its
// beginning, and some proxies pass on only whole requests. Then this much may be sent in vain.
const CHUNK_BYTES = 32 * 1024 * 1024;
// If no byte moves for this long, the network is gone without an error, or the computer has slept.
const STALLED_MS = 60_000;
// This is the same limit after all bytes are sent, while the server stores the file and reads its header.
const LOOKING_MS = 300_000;
const SPEED_OVER_MS = 8000;

export class Upload {
  // `site` is {endpoint, who, user}; `kept` is what this browser remembers. The state is chosen, queued, sending,
  // waiting (with `why`, `kind` and `againAt`), paused, cancelling, done (with `job`), failed (another try may succeed)
  // or refused. `why` is a sentence.
  constructor(file, site, kept) {
    Object.assign(this, { file, site, kept, state: "chosen", why: "", kind: "", job: null });
    this.sent = 0;
    this.acknowledged = 0;
    this.failures = 0;
    this.entry = null;
    this.onChange = () => {};
  }

  // Finds the bytes that an earlier page has sent of this file.
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

  // Whether the row can be removed without a request to the server.
  get removable() {
    return ["chosen", "queued", "failed", "refused"].includes(this.state);
  }

  get percent() {
    return this.file.size ? Math.floor((100 * this.sent) / this.file.size) : 0;
  }

  // The recent speed in bytes per second; 0 while it is not known.
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
      // tus-js-client does not try again. The page does, so that it can tell the person.
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

  // Returns the storage of addresses for tus-js-client. It has only the address of this file.
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
    if (request.getMethod() === "POST") await this.sameUser();
    if (upload !== this.current) throw new Error("This try is over.");
    prepare(request);
  }

  // tus-js-client begins a new upload after every HEAD that fails. That is right only if the server has lost the
  // upload.
  async after(request, response) {
    if (request.getMethod() !== "HEAD") return;
    const status = response.getStatus();
    if (status === 404 || status === 410) return this.sameUser();
    if (status >= 400) throw problemIn(response, "HEAD");
    const offset = Number(response.getHeader("Upload-Offset"));
    if (offset > this.acknowledged) this.failures = 0;
    this.acknowledged = offset;
  }

  // Checks that the same person is logged in. If not, the server answers that there is no such upload, but it is not
  // lost.
  sameUser() {
    return sameUser(this.site.who, this.site.user);
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
    // This is read before the request is closed, because a closed request has no headers.
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
    this.againAt = Date.now() + (problem.afterMs ?? untilRetry(this.failures++));
    this.kind = problem.kind;
    this.set("waiting", problem.message);
    // In a browser, a file that cannot be read causes the same error as a lost network.
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

  // Call this about twice a second. It uses the wall clock, so that a computer that wakes up tries again at once.
  tick() {
    const now = Date.now();
    if (this.state === "waiting" && now >= this.againAt) this.start();
    else if (this.state === "sending" && now - this.heardAt > (this.looking ? LOOKING_MS : STALLED_MS)) {
      this.broke(new Later("The connection stands still.", "network", 1));
    }
  }

  // Tries again: the network is back, or the person has logged in again.
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
    // Until the server has removed the upload, nothing may begin it again.
    this.set("cancelling");
    const { entry } = this;
    this.entry = null;
    this.sent = 0;
    const gone = !entry || (await discard(entry.url));
    if (gone && entry) this.kept.forget(entry.key);
    else if (entry) this.kept.release(entry.key);
    this.set("failed", gone ? "Cancelled. Nothing was stored." : "Cancelled. The server cannot be told now; it deletes by itself what it has.");
  }

  // Removes the row. The bytes that the server has stay there for a later time.
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
