// Which uploads this person has begun in this browser and not finished, in localStorage:
// {key, url, name, size, modified}. It outlives the page; the file itself must be chosen again.
//
// A tab holds the lock of each that it sends, so that no other tab sends the same. Locks exist only over https and
// on localhost; elsewhere two tabs may meet, where the server listens to the one that asked last.

const storage = usable();

export class Kept {
  constructor(user) {
    this.prefix = `upload-${user}-`;
    // By key, how to give it back. Those of this page.
    this.held = new Map();
  }

  // Those that nobody sends just now.
  async unclaimed() {
    const { held } = (await navigator.locks?.query()) ?? { held: [] };
    const locked = new Set(held.map((lock) => lock.name));
    return this.all().filter(({ key }) => !locked.has(key) && !this.held.has(key));
  }

  all() {
    const keys = Object.keys(storage ?? {}).filter((key) => key.startsWith(this.prefix));
    return keys.map((key) => ({ ...read(key), key })).filter((entry) => entry.url);
  }

  // What has been sent of this file before, for this page alone; null where there is nothing.
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
      // Full, or forbidden. It is sent all the same, and only a reloaded page would not know of it.
    }
    await this.claim(key);
    return { ...entry, key };
  }

  forget(key) {
    storage?.removeItem(key);
    this.release(key);
  }

  // Another tab, or another row of this page, may have it.
  release(key) {
    this.held.get(key)?.();
    this.held.delete(key);
  }

  async claim(key) {
    if (this.held.has(key)) return false;
    this.held.set(key, () => {});
    if (!navigator.locks) return true;
    const release = await new Promise((resolve) => {
      const hold = (lock) => (lock ? new Promise((end) => resolve(end)) : resolve(null));
      navigator.locks.request(key, { ifAvailable: true }, hold);
    });
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
    // Not ours.
    return null;
  }
}

function usable() {
  try {
    return window.localStorage;
  } catch {
    // The person has forbidden it.
    return null;
  }
}
