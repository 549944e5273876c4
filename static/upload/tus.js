// The requests that the upload page sends by tus, and the meaning of the answers. `tus` is vendor/tus-js-client.

import { Later, Refused, answerIn, csrfToken, statusLine } from "../lib/ask.js";

// Returns an answer of tus-js-client that is no success as Later or Refused.
export function problemIn(response, method) {
  const status = response.getStatus();
  // The answer to a HEAD has no body.
  const answer = answerIn(response.getBody());
  if (status === 401 || status === 403) return Later.loggedOut();
  const busy = status === 408 || status === 429 || (status >= 500 && status !== 507);
  // The server has another offset than this page, or has lost the upload. The page asks for the offset and sends the
  // rest.
  const askAnew = method !== "POST" && [404, 409, 410, 423].includes(status);
  if (!busy && !askAnew) return new Refused(status, answer);
  return Later.busy(status, answer, response.getHeader("Retry-After"));
}

// Returns an error of tus-js-client as Later or Refused.
export function problemOf(error) {
  const cause = error.causingError;
  if (cause instanceof Later || cause instanceof Refused) return cause;
  if (error.originalResponse) return problemIn(error.originalResponse, error.originalRequest.getMethod());
  if (cause instanceof ProgressEvent) return Later.unreachable();
  return new Refused(0, { detail: `The browser cannot send this file (${error.message}).` });
}

// Tells whether the server can take the file after the person has deleted or finished something else.
export function helpsLater({ status, code }) {
  return status === 507 || code === "too_many_unfinished";
}

export function prepare(request) {
  request.setHeader("Accept", "application/json");
  request.setHeader("X-CSRFToken", csrfToken());
}

// Removes an upload from the server. Resolves to whether the server has nothing of it any more.
export async function discard(url) {
  try {
    await tus.Upload.terminate(url, { onBeforeRequest: prepare, retryDelays: null });
    return true;
  } catch (error) {
    return [404, 410].includes(error.originalResponse?.getStatus());
  }
}

// Asks the server for an upload. Resolves to {offset, expires, job}, or to null if the server has lost it. Raises an
// Error if the server does not answer the question.
export async function look(url) {
  const headers = { "Tus-Resumable": "1.0.0", Accept: "application/json" };
  const response = await fetch(url, { method: "HEAD", headers, cache: "no-store" });
  if (response.status === 404 || response.status === 410) return null;
  if (!response.ok) throw new Error(statusLine(response.status));
  const expires = response.headers.get("Upload-Expires");
  return {
    offset: Number(response.headers.get("Upload-Offset")),
    expires: expires && new Date(expires),
    job: response.headers.get("Upload-Job"),
  };
}
