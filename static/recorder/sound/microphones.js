// The list of microphones, and the microphone that this browser used last.

import { listMicrophones } from "./capture.js";

const REMEMBERED = "recorder-microphone";

export class Microphones {
  constructor(list) {
    this.list = list;
  }

  // The choice, as openMicrophone() takes it. Before the permission there are no names to choose from.
  get wanted() {
    const { options, value } = this.list;
    return { chosen: value, remembered: options.length === 1 ? localStorage.getItem(REMEMBERED) : "" };
  }

  remember() {
    localStorage.setItem(REMEMBERED, this.list.value);
  }

  async show() {
    const { list } = this;
    const wanted = list.options.length > 1 ? list.value : (localStorage.getItem(REMEMBERED) ?? "");
    const found = await listMicrophones();
    const own = list.options[0];
    list.replaceChildren(own, ...found.map(named));
    list.value = found.some(({ deviceId }) => deviceId === wanted) ? wanted : "";
  }
}

function named({ deviceId, label }, n) {
  return new Option(label || `Microphone ${n + 1}`, deviceId);
}
