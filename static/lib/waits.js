// Tells how long to wait before the next request to the server.

const VISIBLE_MS = 2000;
const FIRST_MS = 1000;
const LONGEST_MS = 15_000;

export const HIDDEN_MS = 15_000;

// Returns the wait before the page asks for news. It is longer while the page is hidden.
export function untilNews() {
  return document.hidden ? HIDDEN_MS : VISIBLE_MS;
}

// Returns the wait after this many failures. It has a random part, so that clients that lost the same server do not
// all come back at the same moment.
export function untilRetry(failures) {
  return Math.min(LONGEST_MS, FIRST_MS * 2 ** failures) * (0.75 + Math.random() / 4);
}
