// One microphone, as batches of 16 kHz mono samples.

export const RATE = 16000;
const ANSWER_WITHIN_MS = 2000;

// What a person in a meeting hears on a call is not what a speech model needs. It was trained with noise, and
// suppression takes quiet words away with it; the echo canceller mutes what a loudspeaker in the room plays, which
// is a part of the meeting. The gain helps those who sit far away.
const SOUND = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: true };

// Why there cannot be a recording on this page at all, or "".
export function whyNot() {
  if (!navigator.mediaDevices?.getUserMedia) {
    return isSecureContext
      ? "This browser gives no microphone to pages. Use a current Chrome, Edge, Firefox or Safari, or upload a recording."
      : "Browsers give the microphone only to pages that are reached by https, or on localhost. Open this site by https, or upload a recording.";
  }
  const has = window.AudioWorkletNode && window.indexedDB && navigator.locks && AbortSignal.timeout;
  return has ? "" : "This browser is too old to record here. Update it, or upload a recording.";
}

// What a person can do about an error of openMicrophone().
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
  // Without a permission there is one nameless entry; two of Chromium's stand for others.
  const others = ["", "default", "communications"];
  return devices.filter(({ kind, deviceId }) => kind === "audioinput" && !others.includes(deviceId));
}

// `chosen` is the id of the one to take, `remembered` of the one to prefer. `onBatch` gets what the worklet gives,
// `onLost` is called when the microphone is gone. Raises what getUserMedia raises; see remedy().
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

// Chromium and Safari resample by themselves. Firefox refuses a microphone of another rate.
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
    // A phone call takes the sound away on iOS, and gives it back.
    context.addEventListener("statechange", () => {
      if (["suspended", "interrupted"].includes(context.state)) {
        // Refused during the call; its end is the next change of state.
        context.resume().catch((problem) => console.info(problem.message));
      }
    });
  }

  async listen(source) {
    this.node = await captureNode(this.context);
    this.node.port.onmessage = ({ data }) => this.heard(data);
    // Only what leads to the loudspeaker is sure to be computed; this leads silence there.
    source.connect(this.node).connect(this.context.destination);
    // While a call has the sound this is not answered; then the page says that none comes.
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

  // Resolves when all that was heard before has been given.
  hold() {
    this.holding ??= new Promise((resolve) => {
      this.held = resolve;
      // Sound that the system has taken away answers no more; stopping must be possible.
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

// Also for the tests, in a context that runs faster than time.
export async function captureNode(context) {
  try {
    await context.audioWorklet.addModule(new URL("capture-worklet.js", import.meta.url));
  } catch (problem) {
    throw new DOMException(problem.message, "NetworkError");
  }
  return new AudioWorkletNode(context, "capture", { channelCount: 1, channelCountMode: "explicit" });
}
