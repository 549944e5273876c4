// Reads one microphone, in batches of 16 kHz mono samples.

export const RATE = 16000;
const ANSWER_WITHIN_MS = 2000;

// A speech model needs other sound than a person in a call. It was trained with noise, and noise suppression also
// removes quiet words. The echo canceller mutes the sound of a loudspeaker in the room, which is a part of the meeting.
// The automatic gain helps people who sit far away.
const SOUND = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: true };

// Returns why this page cannot record at all, or "".
export function whyNot() {
  if (!navigator.mediaDevices?.getUserMedia) {
    return isSecureContext
      ? "This browser gives no microphone to pages. Use a current Chrome, Edge, Firefox or Safari, or upload a recording."
      : "Browsers give the microphone only to pages that are reached by https, or on localhost. Open this site by https, or upload a recording.";
  }
  const has = window.AudioWorkletNode && window.indexedDB && navigator.locks && AbortSignal.timeout;
  return has ? "" : "This browser is too old to record here. Update it, or upload a recording.";
}

// Returns what a person can do about an error of openMicrophone().
export function remedy(problem) {
  switch (problem.name) {
    case "NotAllowedError":
    case "SecurityError":
      return "This site may not use the microphone. Allow it with the sign beside the address, then try again.";
    case "NotFoundError":
      return "No microphone was found. Connect one, then try again.";
    case "OverconstrainedError":
      return "The chosen microphone is not there. Connect it or choose another one, then try again.";
    case "NotReadableError":
    case "AbortError":
      return "The microphone cannot be opened; perhaps another program has it. Close that program, then try again.";
    case "NetworkError":
      return "The server cannot be reached, and a part of this page is still there. Check the network, then try again.";
    default:
      return `The microphone cannot be used (${problem.message}). Try another one, or another browser.`;
  }
}

export async function listMicrophones() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  // Without a permission there is one entry without a name. Two entries of Chromium stand for other microphones.
  const others = ["", "default", "communications"];
  return devices.filter(({ kind, deviceId }) => kind === "audioinput" && !others.includes(deviceId));
}

// Opens a microphone. `chosen` is the id of the one to take; `remembered` is the id of the one to prefer. `onBatch`
// gets the batches of the worklet, and `onLost` is called when the microphone is gone. Raises what getUserMedia raises;
// see remedy().
export async function openMicrophone({ chosen, remembered, onBatch, onLost }) {
  const audio = { ...SOUND };
  if (chosen) audio.deviceId = { exact: chosen };
  else if (remembered) audio.deviceId = { ideal: remembered };
  const stream = await navigator.mediaDevices.getUserMedia({ audio });
  const [track] = stream.getAudioTracks();
  try {
    const { context, source } = await connect(stream, track);
    return await new Microphone(stream, track, context, onBatch, onLost).listen(source);
  } catch (problem) {
    track.stop();
    throw problem;
  }
}

// Connects the microphone. Chromium and Safari change the sample rate themselves. Firefox refuses a microphone whose
// rate differs.
async function connect(stream, track) {
  let problem;
  for (const sampleRate of [RATE, undefined, track.getSettings().sampleRate]) {
    const context = new AudioContext({ sampleRate });
    try {
      return { context, source: context.createMediaStreamSource(stream) };
    } catch (refusal) {
      await context.close();
      problem = refusal;
    }
  }
  throw problem;
}

class Microphone {
  constructor(stream, track, context, onBatch, onLost) {
    Object.assign(this, { stream, track, context, onBatch });
    track.addEventListener("ended", onLost);
    // On iOS, a phone call takes the sound away, and it comes back after the call.
    context.addEventListener("statechange", () => {
      if (["suspended", "interrupted"].includes(context.state)) {
        // This is refused during the call. At its end, the state changes again.
        context.resume().catch((problem) => console.info(problem.message));
      }
    });
  }

  async listen(source) {
    this.node = await captureNode(this.context);
    this.node.port.onmessage = ({ data }) => this.heard(data);
    // Browsers are only sure to run nodes that lead to the loudspeaker. This node sends silence there.
    source.connect(this.node).connect(this.context.destination);
    // During a phone call, this is never answered. The page then says that no sound comes.
    await Promise.race([this.context.resume(), new Promise((resolve) => setTimeout(resolve, ANSWER_WITHIN_MS))]);
    return this;
  }

  heard(batch) {
    this.onBatch(batch);
    if (!batch.held) return;
    this.holding = undefined;
    this.held();
  }

  run() {
    this.node.port.postMessage("run");
  }

  // Holds the sound. Resolves when all samples from before have been given.
  hold() {
    this.holding ??= new Promise((resolve) => {
      this.held = resolve;
      // If the system has taken the sound away, no answer comes, but people must still be able to stop.
      setTimeout(resolve, ANSWER_WITHIN_MS);
      this.node.port.postMessage("hold");
    });
    return this.holding;
  }

  async close() {
    await this.hold();
    this.track.stop();
    await this.context.close();
  }
}

// Makes the node of the worklet. Tests use this, too, in a context that runs faster than real time.
export async function captureNode(context) {
  try {
    await context.audioWorklet.addModule(new URL("capture-worklet.js", import.meta.url));
  } catch (problem) {
    throw new DOMException(problem.message, "NetworkError");
  }
  return new AudioWorkletNode(context, "capture", { channelCount: 1, channelCountMode: "explicit" });
}
