// Keeps the socket of a recording's live words open: it connects, notices when the connection is gone, and tries again.
//
// docs/live.md has the messages. This file knows only those that decide about the connection.

const READY_WITHIN_MS = 5000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
// The wait while sockets do not pass, because each try is in vain then.
const CALM_WAIT_MS = 60_000;
const LOOK_EVERY_MS = 500;
// Who only listens asks after so long a silence whether the server is there, and waits so long for its answer.
const SILENT_MS = 25_000;
const ANSWER_MS = 10_000;
// After so many drops within a minute, sockets are taken not to pass.
const DROPS = 3;
const DROPS_WITHIN_MS = 60_000;
// The codes with which a server closes that stops, or is started again. Then it is back soon.
const RESTARTS = new Set([1001, 1012]);
const RESTART_WITHIN_MS = 30_000;
const RESTART_WAIT_MS = 1000;
// What shorter interruptions are is nobody's concern.
const TOLD_AFTER_MS = 3000;

// state: {event: next state}. An event that does not belong to the state counts for nothing, because the network may
// still tell of a connection that was given up.
const TRANSITIONS = {
  off: { open: "waiting" },
  // Until the wait is over and the owner wants a connection.
  waiting: { connect: "connecting", close: "off" },
  connecting: { ready: "live", drop: "waiting", refuse: "ended", close: "off" },
  live: { drop: "waiting", refuse: "ended", close: "off" },
  // The server does not want this connection any more. `refusal` says why.
  ended: { open: "waiting", close: "off" },
};
// After these refusals another try makes no sense.
const FINAL = new Set(["taken_over", "session_finished"]);
// These refusals are no sign that sockets do not pass. {code: wait before the next try}
const EXPECTED = {
  try_again: FIRST_WAIT_MS,
  not_read: FIRST_WAIT_MS,
  // The owner wants a connection again when there is something to send.
  idle: 0,
  too_fast: FIRST_WAIT_MS,
  storage_full: LONGEST_WAIT_MS,
  too_many: CALM_WAIT_MS,
};

export class LiveSocket {
  // `owner` has these functions: may() -> whether a connection makes sense now; address() -> its URL; first() -> the
  // first message; take(message) gets each message of the server; changed() is called after each change. It has `listens`
  // if it sends nothing, because then nothing else shows that the network is gone: it may take a browser minutes to notice.
  constructor(owner) {
    this.owner = owner;
    this.state = "off";
    // {code, detail} of the refusal that the server sent last.
    this.refusal = null;
    // Whether no words come by a socket for now, because sockets do not pass or the server wants none of this page.
    this.blocked = false;
    this.wasLive = false;
    this.dueAt = 0;
    this.failures = 0;
    this.drops = [];
    window.addEventListener("online", () => this.nudge(true));
    window.addEventListener("offline", () => this.again(0));
  }

  // Whether words have been missing for so long that people want to know why.
  get lost() {
    return this.lostAt !== undefined && performance.now() - this.lostAt >= TOLD_AFTER_MS;
  }

  // Whether the server has said lately that it stops, so that it may be back at any moment.
  get restarts() {
    return this.restartedAt !== undefined && performance.now() - this.restartedAt < RESTART_WITHIN_MS;
  }

  open() {
    if (this.go("open")) this.wait(0);
  }

  close() {
    if (!this.go("close")) return;
    this.lostAt = this.triedAt = this.restartedAt = undefined;
    this.detach();
    this.owner.changed();
  }

  send(data) {
    if (this.state === "live") this.socket.send(data);
  }

  // Tries again at once if no wait is in progress, or in any case if `now` is given.
  nudge(now = false) {
    if (this.state === "waiting" && (now || performance.now() >= this.dueAt)) this.wait(0);
  }

  // Gives up this connection, and tries again after `waitMs`. It does not count as a drop.
  again(waitMs) {
    if (!this.go("drop")) return;
    this.detach();
    this.wait(waitMs);
  }

  go(event) {
    const next = TRANSITIONS[this.state][event];
    if (!next) return false;
    this.state = next;
    clearTimeout(this.timer);
    return true;
  }

  wait(ms) {
    clearTimeout(this.timer);
    this.dueAt = performance.now() + ms;
    this.timer = setTimeout(() => this.look(), ms);
    this.miss();
    this.owner.changed();
  }

  look() {
    this.miss();
    if (navigator.onLine && this.owner.may()) this.connect();
    else this.timer = setTimeout(() => this.look(), LOOK_EVERY_MS);
  }

  // Notes since when a connection has been missing that was there and is wanted.
  miss() {
    if (!this.wasLive || !this.owner.may()) this.lostAt = undefined;
    else if (this.lostAt === undefined) {
      this.lostAt = performance.now();
      setTimeout(() => this.owner.changed(), TOLD_AFTER_MS);
    }
  }

  connect() {
    if (!this.go("connect")) return;
    this.triedAt ??= performance.now();
    this.refusal = null;
    const socket = (this.socket = new WebSocket(this.owner.address()));
    const mine = (act) => (event) => this.socket === socket && act(event);
    socket.onopen = mine(() => socket.send(JSON.stringify(this.owner.first())));
    socket.onmessage = mine(({ data }) => this.take(JSON.parse(data)));
    socket.onclose = mine(({ code }) => this.drop(code));
    this.timer = setTimeout(() => this.drop(), READY_WITHIN_MS);
    this.owner.changed();
  }

  take(message) {
    if (message.type === "error") this.refusal = message;
    if (message.type === "ready" && this.go("ready")) {
      this.wasLive = true;
      this.blocked = false;
      this.failures = 0;
      this.lostAt = this.triedAt = undefined;
      if (this.owner.listens) this.timer = setTimeout(() => this.listen(), SILENT_MS);
    }
    this.heardAt = performance.now();
    this.asked = false;
    this.owner.take(message);
    this.owner.changed();
  }

  listen() {
    const silentMs = performance.now() - this.heardAt;
    const silent = silentMs >= SILENT_MS;
    if (silent && this.asked) return this.drop();
    this.asked = silent;
    if (silent) this.send(JSON.stringify({ type: "keep_alive" }));
    this.timer = setTimeout(() => this.listen(), silent ? ANSWER_MS : SILENT_MS - silentMs);
  }

  // The connection is gone, or nobody answers. `closedWith` is the code of its end, if there is one.
  drop(closedWith) {
    const wasLive = this.state === "live";
    const code = this.refusal?.code;
    if (FINAL.has(code) ? !this.go("refuse") : !this.go("drop")) return;
    this.detach();
    if (code === "too_many" || this.state === "ended") this.blocked = true;
    if (this.state === "ended") return this.owner.changed();
    this.wait(EXPECTED[code] ?? this.untilRetry(performance.now(), wasLive, RESTARTS.has(closedWith)));
  }

  // Returns the wait before the next try. It has a random part, so that clients that lost the same server do not all
  // come back at the same moment.
  untilRetry(now, wasLive, stops) {
    const { restarts } = this;
    if (stops) this.restartedAt = now;
    if (restarts) return RESTART_WAIT_MS * (0.75 + Math.random() / 4);
    if (stops) return FIRST_WAIT_MS * Math.random();
    this.drops = this.drops.filter((at) => now - at < DROPS_WITHIN_MS);
    if (wasLive) this.drops.push(now);
    const flaps = this.drops.length >= DROPS;
    // Sockets that have passed before will pass again, unless the page has moved to another network.
    const patienceMs = this.wasLive ? DROPS_WITHIN_MS : READY_WITHIN_MS;
    const silent = this.triedAt !== undefined && now - this.triedAt >= patienceMs;
    if (flaps || silent) this.blocked = true;
    const calm = flaps || (this.blocked && !this.wasLive);
    const ms = calm ? CALM_WAIT_MS : Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.failures++);
    return ms * (0.75 + Math.random() / 4);
  }

  detach() {
    const { socket } = this;
    this.socket = null;
    socket?.close();
  }
}

// Returns the address of a socket of this site. `path` begins with a slash.
export function socketAddress(path) {
  const url = new URL(path, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  return url.href;
}
