// Sends a request to the server, and sorts failures by what helps: time, or another request.

const ANSWER_WITHIN_MS = 120_000;
const LOGGED_OUT = "You are logged out.";

// A failure after which the same request may succeed later. `kind` is "network", "server" or "login". `afterMs` is set
// if the server says when.
export class Later extends Error {
  constructor(message, kind, afterMs) {
    super(message);
    Object.assign(this, { kind, afterMs });
  }

  static unreachable() {
    return new Later("The server cannot be reached.", "network");
  }

  static loggedOut() {
    return new Later(LOGGED_OUT, "login");
  }

  // `retryAfter` is the value of the header.
  static busy(status, answer, retryAfter) {
    const after = Number(retryAfter);
    return new Later(answer.detail ?? statusLine(status), "server", after > 0 ? after * 1000 : undefined);
  }
}

// A failure that the same request will always have. The message is the server's.
export class Refused extends Error {
  constructor(status, answer) {
    super(Object.values(answer.fields ?? {}).flat()[0] ?? answer.detail ?? `The server refused (status ${status}).`);
    Object.assign(this, { status, code: answer.code, answer });
  }
}

// Sends a request, and resolves to the JSON of the answer. `body` is FormData, or an object that is sent as JSON.
export async function ask(url, { method = "GET", body, key } = {}) {
  const headers = { Accept: "application/json", "X-CSRFToken": csrfToken() };
  // If the first answer is lost, the repeated request must not create a second one.
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
    answer = answerIn(await response.text());
  } catch {
    throw Later.unreachable();
  }
  if (response.ok) return answer;
  const { status } = response;
  if (status === 401 || status === 403) throw Later.loggedOut();
  if (status === 408 || status === 429 || status >= 500 || answer.code === "checksum_mismatch") {
    throw Later.busy(status, answer, response.headers.get("Retry-After"));
  }
  throw new Refused(status, answer);
}

// Returns the JSON of an answer, or {} if it has none: a proxy before the server may answer in its own form.
export function answerIn(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

export function statusLine(status) {
  return `The server answered with status ${status}.`;
}

// Checks that the same person is still logged in, because somebody else may have logged in in another tab. So nothing
// of this person gets into another account. Raises Later, with `remedy` at the end of its sentence.
export async function sameUser(who, user, remedy = "") {
  const now = (await ask(who)).user;
  if (now !== user) throw new Later((now === null ? LOGGED_OUT : "Someone else is logged in.") + remedy, "login");
}

// Returns the CSRF token of the cookie. The token in the page becomes wrong after a login in another tab.
export function csrfToken() {
  const name = document.documentElement.dataset.csrfCookie || "csrftoken";
  const cookie = document.cookie.split(/;\s*/).find((one) => one.startsWith(`${name}=`));
  return cookie?.slice(name.length + 1) ?? "";
}
