// Stores recordings that are not sent yet in IndexedDB, where they survive the loss of the tab, the browser or the
// network.
//
// recordings  {id, user, title, options, startedAt, ends, base, stopped, key,
//              and once the server knows it: session, job, sentTitle}
//             ends: the sample at which each piece ends; base: the first piece of this session; key: the idempotency
//             key with which the session is created only once. Rows of earlier versions have chunkSamples, cut and
//             samples instead of ends: the length of all pieces, how many there are, and their samples together
// chunks      {recording, number, samples, sha256, wav}: full pieces; deleted once the server has them
// tails       {recording, number, part, pcm}: the piece that is being filled, second by second

import { takeLock, takenLocks } from "../lib/locks.js";

const NAME = "recorder";
const VERSION = 1;
const ANSWER_WITHIN_MS = 10_000;
// What was just written must survive a power cut.
const DURABLE = { durability: "strict" };

export async function openStore() {
  const request = indexedDB.open(NAME, VERSION);
  request.onupgradeneeded = () => {
    request.result.createObjectStore("recordings", { keyPath: "id" }).createIndex("user", "user");
    request.result.createObjectStore("chunks", { keyPath: ["recording", "number"] });
    request.result.createObjectStore("tails", { keyPath: ["recording", "number", "part"] });
  };
  const silent = new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error("its storage does not answer")), ANSWER_WITHIN_MS);
  });
  return new Store(await Promise.race([answered(request), silent]));
}

class Store {
  constructor(database) {
    this.database = database;
    // Otherwise another tab could not open a later version of the database while this tab is open.
    database.onversionchange = () => database.close();
  }

  saveRecording(row) {
    return this.write(["recordings"], ({ recordings }) => recordings.put(row));
  }

  saveTail(tail) {
    return this.write(["tails"], ({ tails }) => tails.put(tail));
  }

  // Stores a full piece, and removes its tails in the same transaction.
  saveChunk(chunk, row) {
    return this.write(["chunks", "tails", "recordings"], ({ chunks, tails, recordings }) => {
      chunks.put(chunk);
      tails.delete(all([chunk.recording, chunk.number]));
      recordings.put(row);
    });
  }

  deleteChunk(recording, number) {
    return this.write(["chunks", "tails"], ({ chunks, tails }) => {
      chunks.delete([recording, number]);
      tails.delete(all([recording, number]));
    });
  }

  deleteRecording(id) {
    return this.write(["chunks", "tails", "recordings"], ({ chunks, tails, recordings }) => {
      recordings.delete(id);
      chunks.delete(all([id]));
      tails.delete(all([id]));
    });
  }

  recordingsOf(user) {
    return this.read("recordings", (recordings) => recordings.index("user").getAll(user));
  }

  chunk(recording, number) {
    return this.read("chunks", (chunks) => chunks.get([recording, number]));
  }

  // Returns {numbers: the numbers of the full pieces, tails: those of the pieces that were being filled}.
  async kept(recording) {
    const keys = (name) => this.read(name, (store) => store.getAllKeys(all([recording])));
    const numbersIn = async (name) => [...new Set((await keys(name)).map(([, number]) => number))];
    return { numbers: await numbersIn("chunks"), tails: await numbersIn("tails") };
  }

  // Returns the samples of a piece that was being filled.
  async tail(recording, number) {
    const tails = await this.read("tails", (store) => store.getAll(all([recording, number])));
    return tails.map((tail) => tail.pcm);
  }

  write(names, change) {
    return new Promise((resolve, reject) => {
      const transaction = this.database.transaction(names, "readwrite", DURABLE);
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error);
      change(Object.fromEntries(names.map((name) => [name, transaction.objectStore(name)])));
    });
  }

  read(name, ask) {
    return answered(ask(this.database.transaction(name).objectStore(name)));
  }
}

// Returns the range of all keys that begin like this. Its end is an array, because arrays come after all numbers and
// strings.
function all(beginning) {
  return IDBKeyRange.bound(beginning, [...beginning, []]);
}

function answered(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

// Takes the lock of a recording. A tab holds the lock of each recording that it makes or sends. Resolves to a function
// that frees the lock, or to null while another tab has it.
export function takeRecording(id) {
  return takeLock(lockName(id));
}

export async function takenRecordings() {
  const names = await takenLocks();
  return (id) => names.has(lockName(id));
}

function lockName(id) {
  return `recorder-${id}`;
}
