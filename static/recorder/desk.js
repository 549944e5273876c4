// Connects the microphone, the recording and the sender. The page shows their state.

import { Live } from "./live.js";
import { Machine } from "./machine.js";
import { Recording } from "./recording.js";
import { storeRemedy } from "./said.js";
import { Sender } from "./send.js";
import { openMicrophone, RATE, remedy } from "./sound/capture.js";
import { takeRecording } from "./store.js";

const STANDS_AFTER_MS = 3000;

export class Desk {
  // `site` is {user, userName, urls, cutSamples, aliveMs}. urls is {sessions, who, sockets}. `page` has these functions:
  // title(), options(), microphone() -> {chosen, remembered} return what the person has entered;
  // live() returns whether live words are wanted; have() the id of the last final segment that came live;
  // show(), heard(batch), opened() are called when something has changed; said(message) gets what came live;
  // problem(cause, sentence) shows a problem, and "" takes it away; goTo(job) is called when all is on the server;
  // broke(mistake) is called after a mistake in this program. `store` must be set before the first start().
  constructor(site, page) {
    Object.assign(this, { site, page });
    this.machine = new Machine(() => page.show());
    this.store = this.microphone = this.recording = this.sender = this.live = this.wakeLock = null;
    // The title that was last taken from its field.
    this.title = "";
    // The audio thread has given this many samples of this recording.
    this.counted = 0;
    this.heardAt = 0;
  }

  get state() {
    return this.machine.state;
  }

  // The person pressed a button: `event` is start, pause, resume or stop. Returns whether it is possible now.
  press(event) {
    if (!this.machine.may(event)) return false;
    this.alone(() => this[event]());
    return true;
  }

  alone(work) {
    return this.machine.alone(() => work().catch((mistake) => this.page.broke(mistake)));
  }

  async start() {
    const { page, site } = this;
    if (!(await this.open())) return;
    this.title = page.title();
    const { user, cutSamples } = site;
    const given = { user, title: this.title, options: page.options(), cutSamples };
    const recording = (this.recording = Recording.begin(this.store, given));
    recording.release = await takeRecording(recording.row.id);
    recording.onChange = () => {
      this.sender.poke();
      this.live.heard();
      page.show();
    };
    recording.onStoreProblem = (refusal) => page.problem("store", storeRemedy(refusal));
    this.sender = new Sender(recording, site.urls, site.userName, site.aliveMs);
    this.sender.onChange = () => page.show();
    this.live = this.sender.live = new Live(recording, {
      sockets: site.urls.sockets,
      have: page.have,
      take: page.said,
      onChange: () => page.show(),
      poke: () => this.sender?.state !== "refused" && this.sender?.wake(),
    });
    this.wantLive();
    await recording.save();
    // This is asked for only now, because some browsers then ask the person.
    navigator.storage?.persist?.();
    this.counted = 0;
    this.listen();
    this.machine.go("start");
    this.sender
      .run()
      .then((job) => this.ended(job))
      .catch((mistake) => page.broke(mistake));
  }

  // Call this when the person has switched live words on or off.
  wantLive() {
    if (this.page.live()) this.live?.open();
    else this.live?.close();
  }

  async pause() {
    await this.microphone?.hold();
    this.machine.go("pause");
    this.recording.saveTail();
  }

  async resume() {
    if (!this.microphone && !(await this.open())) return;
    this.listen();
    this.machine.go("resume");
  }

  async stop() {
    // If the person pressed Ctrl and Enter in the field of the title, the browser has not reported the change yet.
    this.retitle();
    await this.close();
    this.machine.go("stop");
    this.wakeLock?.release();
    await this.recording.finish();
  }

  // The sender has ended: everything is on the server, there was nothing to send, or the recording is discarded.
  ended(job) {
    const { release } = this.recording;
    const discarded = this.sender.gone;
    this.live.stop();
    this.recording = this.sender = this.live = null;
    release?.();
    if (job) return this.page.goTo(job);
    this.page.problem("microphone", discarded ? "" : "Nothing was recorded. Press Record and wait until the clock runs.");
    this.machine.go("end");
  }

  // Takes over the title from its field, but only if the field has changed. A recording that goes on in another session
  // has another title there.
  retitle() {
    const title = this.page.title();
    if (!this.recording || title === this.title) return;
    this.recording.row.title = this.title = title;
    this.recording.save();
  }

  // Whether the server refused the recording before it made a session. Then it has taken no options yet, so the person
  // may still change them.
  get refusedOptions() {
    return this.sender?.state === "refused" && !this.recording.row.session;
  }

  // Whether the recording was deleted on the server after everything had been sent.
  get deleted() {
    return this.state === "sending" && this.sender?.kind === "not_found" && !this.recording.waiting.size;
  }

  // --- The microphone ------------------------------------------------------------------------------

  // Opens the microphone, and returns whether that worked. The microphone gives no sound before listen().
  async open() {
    const wanted = this.page.microphone();
    let opened;
    const onLost = async () => {
      await this.machine.turn;
      this.lost(opened);
    };
    try {
      opened = await openMicrophone({ ...wanted, onBatch: (batch) => this.heard(batch), onLost });
    } catch (refusal) {
      this.page.problem("microphone", remedy(refusal));
      return false;
    }
    this.microphone = opened;
    this.page.problem("microphone", "");
    await this.page.opened();
    return true;
  }

  async close() {
    await this.microphone?.close();
    this.microphone = null;
  }

  listen() {
    this.microphone.run();
    this.heardAt = performance.now();
    this.page.problem("microphone", "");
    this.stayAwake();
  }

  heard(batch) {
    this.heardAt = performance.now();
    if (batch.samples) {
      this.recording.add(batch.samples);
      this.live.heard();
      this.counted += batch.samples.length;
    }
    this.page.heard(batch);
  }

  // Call this every second, because the system can take the sound away without telling the page.
  watch() {
    if (this.state !== "recording") return;
    const stands = performance.now() - this.heardAt > STANDS_AFTER_MS;
    const sentence = "No sound comes from the microphone. End the call that uses it, or choose another one.";
    this.page.problem("stands", stands ? sentence : "");
  }

  async lost(gone) {
    if (gone !== this.microphone || this.state === "sending") return;
    await this.alone(async () => {
      await this.close();
      if (this.state === "recording") this.machine.go("lose");
      this.recording.saveTail();
    });
    const kept = "The microphone is gone. What was recorded is kept.";
    this.page.problem("microphone", `${kept} Connect it again or choose another one, then press Resume.`);
  }

  // Changes to another microphone while the first one is in use.
  async choose() {
    if (!this.microphone) return;
    await this.close();
    if (this.state !== "recording") return;
    this.recording.saveTail();
    if (await this.open()) this.listen();
    else this.machine.go("lose");
  }

  async stayAwake() {
    // The browser refuses this when the battery is low. The recording works without it.
    this.wakeLock = (await navigator.wakeLock?.request("screen").catch(() => null)) ?? null;
  }
}
