// Asks the server, and sorts what can go wrong by what helps.

const ANSWER_WITHIN_MS = 120_000;

// Time helps. kind: "network", "server" or "login"; afterMs where the server says when.
export class Later extends Error {
  constructor(message, kind, afterMs) {
    super(message);
    Object.assign(this, { kind, afterMs });
  }
}

// Time does not help; the message is the server's.
export class Refused extends Error {
  constructor(status, answer) {
    super(Object.values(answer.fields ?? {}).flat()[0] ?? answer.detail ?? `The server refused (status ${status}).`);
    Object.assign(this, { status, code: answer.code, answer });
  }
}

// `body`: FormData, or an object that is sent as JSON. Resolves to the answer's JSON.
export async function ask(url, { method = "GET", body, key } = {}) {
  const headers = { Accept: "application/json", "X-CSRFToken": csrfToken() };
  // A repeated request whose first answer was lost must not create twice.
  if (key) headers["Idempotency-Key"] = key;
  if (body && !(body instanceof FormData)) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(body);
  }
  let response;
  let answer;
  try {
    const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
    response = await fetch(url, { method, headers, body, signal, cache: "no-store" });
    answer = await response.text();
  } catch {
    throw new Later("The server cannot be reached.", "network");
  }
  try {
    answer = answer ? JSON.parse(answer) : {};
  } catch {
    // What stands before the server may answer in its own words.
    answer = {};
  }
  if (response.ok) return answer;
  const { status } = response;
  if (status === 401 || status === 403) throw new Later("You are logged out.", "login");
  if (status === 408 || status === 429 || status >= 500 || answer.code === "checksum_mismatch") {
    const after = Number(response.headers.get("Retry-After"));
    const why = answer.detail ?? `The server answered with status ${status}.`;
    throw new Later(why, "server", after > 0 ? after * 1000 : undefined);
  }
  throw new Refused(status, answer);
}

// The cookie's, not the page's: it is another one after a login in another tab.
export function csrfToken() {
  return /(?:^|;\s*)csrftoken=([^;]+)/.exec(document.cookie)?.[1] ?? "";
}
