// What is recorded and not yet sent, in IndexedDB: it outlives the tab, the browser and the network.
//
// recordings  {id, user, title, options, startedAt, chunkSamples, cut, samples, base, stopped, key,
//              and once the server knows it: session, job, sentTitle}
//             cut: how many pieces there are; samples: in them; base: the first piece of this session; key: for
//             creating the session once
// chunks      {recording, number, samples, sha256, wav}: full pieces; deleted once the server has them
// tails       {recording, number, part, pcm}: the piece that is being filled, second by second

const NAME = "recorder";
const VERSION = 1;
const ANSWER_WITHIN_MS = 10_000;
// A power cut must not take what was just written.
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
    // Otherwise a later version could not be opened beside this tab.
    database.onversionchange = () => database.close();
  }

  saveRecording(row) {
    return this.write(["recordings"], ({ recordings }) => recordings.put(row));
  }

  saveTail(tail) {
    return this.write(["tails"], ({ tails }) => tails.put(tail));
  }

  // The piece is full: it takes the place of its tails in the same moment.
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

  // {numbers: of the full pieces, tails: of those that were being filled}
  async kept(recording) {
    const keys = (name) => this.read(name, (store) => store.getAllKeys(all([recording])));
    const numbersIn = async (name) => [...new Set((await keys(name)).map(([, number]) => number))];
    return { numbers: await numbersIn("chunks"), tails: await numbersIn("tails") };
  }

  // The samples of a piece that was being filled.
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

// Every key that begins so: an array comes after all numbers and strings.
function all(beginning) {
  return IDBKeyRange.bound(beginning, [...beginning, []]);
}

function answered(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

// A tab holds the lock of each recording that it makes or sends. Resolves to a function that gives it back, or to
// null while another tab has it.
export function takeLock(id) {
  return new Promise((resolve, reject) => {
    const held = (lock) => (lock ? new Promise((release) => resolve(release)) : resolve(null));
    navigator.locks.request(lockName(id), { ifAvailable: true }, held).catch(reject);
  });
}

export async function lockedElsewhere() {
  const { held } = await navigator.locks.query();
  const names = new Set(held.map((lock) => lock.name));
  return (id) => names.has(lockName(id));
}

function lockName(id) {
  return `recorder-${id}`;
}
