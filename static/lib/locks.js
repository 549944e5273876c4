// Locks, which tell which tab uses a thing. The browser frees a lock when its tab is closed.
//
// Browsers have locks only over https and on localhost. Elsewhere every tab gets every lock that it asks for.

// Takes a lock. Resolves to a function that frees it, or to null while another tab has it.
export function takeLock(name) {
  if (!navigator.locks) return Promise.resolve(() => {});
  return new Promise((resolve, reject) => {
    const held = (lock) => (lock ? new Promise((release) => resolve(release)) : resolve(null));
    navigator.locks.request(name, { ifAvailable: true }, held).catch(reject);
  });
}

// Resolves to the names of the locks that any tab has.
export async function takenLocks() {
  const { held } = (await navigator.locks?.query()) ?? { held: [] };
  return new Set(held.map((lock) => lock.name));
}
