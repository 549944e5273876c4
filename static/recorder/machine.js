// The states of the recorder, and the events that lead from one to the next. This file knows no page, no microphone and
// no server.

// state: {event: next state}
const TRANSITIONS = {
  idle: { start: "recording" },
  // The microphone can be lost, or the person can change to another one that does not open.
  recording: { pause: "paused", lose: "paused", stop: "sending" },
  paused: { resume: "recording", stop: "sending" },
  // Everything is on the server, there was nothing to send, or the person has discarded the recording.
  sending: { end: "idle" },
};

export class Machine {
  // `onChange()` is called after each change of `state` and `busy`.
  constructor(onChange) {
    this.onChange = onChange;
    this.state = "idle";
    // Whether the recorder is on the way from one state to another.
    this.busy = false;
    this.turn = Promise.resolve();
  }

  may(event) {
    return event in TRANSITIONS[this.state];
  }

  go(event) {
    if (!this.may(event)) throw new Error(`There is no ${event} while it is ${this.state}.`);
    this.state = TRANSITIONS[this.state][event];
    this.onChange();
  }

  // Runs work that takes time, one piece at a time: work that comes while another piece runs is ignored. Resolves when
  // the work that runs has ended.
  alone(work) {
    if (!this.busy) this.turn = this.work(work);
    return this.turn;
  }

  async work(work) {
    this.busy = true;
    this.onChange();
    try {
      await work();
    } finally {
      this.busy = false;
      this.onChange();
    }
  }
}
