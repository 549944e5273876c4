// Keeps <div data-poll-url> up to date with the server, until its content says data-final="yes".
//
// The server renders the content, with all words and states, which this script does not know. It answers 204 while
// nothing has changed since the version that is shown. With data-poll-end="reload", the page is loaded again at the
// end. An element with data-poll-announce beside it tells screen readers what the content has as data-announce. A script
// that knows of news sends the event "news" to the document, so that nobody waits for the next request.

import { write } from "../lib/dom.js";
import { untilNews } from "../lib/waits.js";

const AFTER_ERROR_MS = 10_000;

for (const box of document.querySelectorAll("[data-poll-url]")) follow(box);

function follow(box) {
  let timer;
  const shown = () => box.firstElementChild.dataset;
  const later = (ms) => (timer = setTimeout(refresh, ms));
  const announcement = box.parentElement.querySelector(":scope > [data-poll-announce]");

  async function refresh() {
    timer = undefined;
    const url = new URL(box.dataset.pollUrl, location.href);
    url.searchParams.set("seen", shown().version);
    let response;
    try {
      response = await fetch(url, { cache: "no-store" });
    } catch {
      return later(AFTER_ERROR_MS);
    }
    // The person was logged out, or the thing that is followed was deleted. The loaded page explains it best.
    if (response.redirected || response.status === 404) return location.reload();
    if (response.status === 200) replace(box, await response.text());
    else if (response.status !== 204) return later(AFTER_ERROR_MS);
    if (announcement) write(announcement, shown().announce);
    if (shown().final !== "yes") return later(untilNews());
    if (box.dataset.pollEnd === "reload") location.reload();
  }

  function now() {
    if (document.hidden || timer === undefined) return;
    clearTimeout(timer);
    refresh();
  }

  document.addEventListener("visibilitychange", now);
  document.addEventListener("news", now);

  if (shown().final !== "yes") later(untilNews());
}

// Replaces the content. The keyboard focus stays where it is, and bars grow instead of jumping.
function replace(box, html) {
  const focused = box.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  const before = new Map(Array.from(box.querySelectorAll("progress"), (bar) => [bar.ariaLabel, bar.value]));
  box.innerHTML = html;
  for (const bar of box.querySelectorAll("progress")) {
    const value = bar.value;
    if (!before.has(bar.ariaLabel)) continue;
    bar.value = before.get(bar.ariaLabel);
    requestAnimationFrame(() => requestAnimationFrame(() => (bar.value = value)));
  }
  if (focused) box.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
}
