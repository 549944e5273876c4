// What the upload page asks of the server by tus, and what its answers mean. `tus` is vendor/tus-js-client.

import { Later, Refused, ask, csrfToken } from "../recorder/api.js";

const LOGGED_OUT = "You are logged out.";

// Someone else may have logged in in another tab: nothing goes into their account, and nothing of ours is gone because
// it is not theirs. Raises Later.
export async function sameUser({ who, user }) {
  const now = (await ask(who)).user;
  if (now !== user) throw new Later(now === null ? LOGGED_OUT : "Someone else is logged in.", "login");
}

// An answer (of tus-js-client) that is no success, sorted by what helps.
export function problemIn(response, method) {
  const status = response.getStatus();
  let answer = {};
  try {
    answer = JSON.parse(response.getBody());
  } catch {
    // The answer to a HEAD has no body, and what stands before the server may answer in its own words.
  }
  if (status === 401 || status === 403) return new Later(LOGGED_OUT, "login");
  const busy = status === 408 || status === 429 || (status >= 500 && status !== 507);
  // The server is elsewhere than this page thinks, or has forgotten it all: it is asked, and the rest is sent.
  const askAnew = method !== "POST" && [404, 409, 410, 423].includes(status);
  if (!busy && !askAnew) return new Refused(status, answer);
  const after = Number(response.getHeader("Retry-After"));
  const why = answer.detail ?? `The server answered with status ${status}.`;
  return new Later(why, "server", after > 0 ? after * 1000 : undefined);
}

// An error of tus-js-client, as Later or Refused.
export function problemOf(error) {
  const cause = error.causingError;
  if (cause instanceof Later || cause instanceof Refused) return cause;
  if (error.originalResponse) return problemIn(error.originalResponse, error.originalRequest.getMethod());
  if (cause instanceof ProgressEvent) return new Later("The server cannot be reached.", "network");
  return new Refused(0, { detail: `The browser cannot send this file (${error.message}).` });
}

// The server can take it once something else is deleted or finished, which a person does.
export function helpsLater({ status, code }) {
  return status === 507 || code === "too_many_unfinished";
}

export function prepare(request) {
  request.setHeader("Accept", "application/json");
  request.setHeader("X-CSRFToken", csrfToken());
}

// Whether the server has nothing of it any more.
export async function discard(url) {
  try {
    await tus.Upload.terminate(url, { onBeforeRequest: prepare, retryDelays: null });
    return true;
  } catch (error) {
    return [404, 410].includes(error.originalResponse?.getStatus());
  }
}

// What the server has of an upload: {offset, expires, job}; null when it has forgotten it. Raises an Error when it
// does not say.
export async function look(url) {
  const headers = { "Tus-Resumable": "1.0.0", Accept: "application/json" };
  const response = await fetch(url, { method: "HEAD", headers, cache: "no-store" });
  if (response.status === 404 || response.status === 410) return null;
  if (!response.ok) throw new Error(`The server answered with status ${response.status}.`);
  const expires = response.headers.get("Upload-Expires");
  return {
    offset: Number(response.headers.get("Upload-Offset")),
    expires: expires && new Date(expires),
    job: response.headers.get("Upload-Job"),
  };
}
