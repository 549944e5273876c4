// Remembers in localStorage which uploads this person has begun in this browser and not finished:
// {key, url, name, size, modified}. The list survives the page; the person must choose the file itself again.
//
// A tab holds the lock of each upload that it sends, so that no other tab sends the same one. In browsers without
// locks, two tabs may send the same upload, and the server takes bytes from the tab that asked last.

import { takeLock, takenLocks } from "../lib/locks.js";

const storage = usable();

export class Kept {
  constructor(user) {
    this.prefix = `upload-${user}-`;
    // The functions that free the locks of this page, by the keys of the uploads.
    this.held = new Map();
  }

  // Resolves to the uploads that no tab sends at the moment.
  async unclaimed() {
    const taken = await takenLocks();
    return this.all().filter(({ key }) => !taken.has(key) && !this.held.has(key));
  }

  all() {
    const keys = Object.keys(storage ?? {}).filter((key) => key.startsWith(this.prefix));
    return keys.map((key) => ({ ...read(key), key })).filter((entry) => entry.url);
  }

  // Takes the earlier upload of this file for this page alone. Resolves to null if there is none.
  async take(file) {
    for (const entry of this.all()) if (isOf(entry, file) && (await this.claim(entry.key))) return entry;
    return null;
  }

  async add(file, url) {
    const key = this.prefix + Array.from(crypto.getRandomValues(new Uint32Array(3))).join("");
    const entry = { url, name: file.name, size: file.size, modified: file.lastModified };
    try {
      storage?.setItem(key, JSON.stringify(entry));
    } catch {
      // The storage is full or forbidden. The file is sent in any case, but a reloaded page will not know of it.
    }
    await this.claim(key);
    return { ...entry, key };
  }

  forget(key) {
    storage?.removeItem(key);
    this.release(key);
  }

  // Frees an upload, so that another tab or another row of this page may take it.
  release(key) {
    this.held.get(key)?.();
    this.held.delete(key);
  }

  async claim(key) {
    if (this.held.has(key)) return false;
    this.held.set(key, () => {});
    const release = await takeLock(key);
    if (release) this.held.set(key, release);
    else this.held.delete(key);
    return release !== null;
  }
}

export function isOf(entry, file) {
  return entry.name === file.name && entry.size === file.size && entry.modified === file.lastModified;
}

function read(key) {
  try {
    return JSON.parse(storage.getItem(key));
  } catch {
    // Another program has written this entry.
    return null;
  }
}

function usable() {
  try {
    return window.localStorage;
  } catch {
    // The person has forbidden the storage.
    return null;
  }
}
