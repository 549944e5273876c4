// Keeps <div data-poll-url> as the server renders it, until what it holds says data-final="yes".
//
// The server answers 204 while nothing has changed since the version that is shown. The words and the states
// are the server's; nothing here knows them. data-poll-end="reload": load the page anew at the end.

const VISIBLE_MS = 2000;
const HIDDEN_MS = 15000;
const AFTER_ERROR_MS = 10000;

for (const box of document.querySelectorAll("[data-poll-url]")) follow(box);

function follow(box) {
  let timer;
  const shown = () => box.firstElementChild.dataset;
  const later = (ms) => (timer = setTimeout(refresh, ms));
  const announcement = document.querySelector("[data-poll-announce]");

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
    // Logged out, or what was followed has been deleted: the page itself says so best.
    if (response.redirected || response.status === 404) return location.reload();
    if (response.status === 200) replace(box, await response.text());
    else if (response.status !== 204) return later(AFTER_ERROR_MS);
    if (announcement && announcement.textContent !== shown().announce) announcement.textContent = shown().announce;
    if (shown().final !== "yes") return later(document.hidden ? HIDDEN_MS : VISIBLE_MS);
    if (box.dataset.pollEnd === "reload") location.reload();
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden || timer === undefined) return;
    clearTimeout(timer);
    refresh();
  });

  if (shown().final !== "yes") later(VISIBLE_MS);
}

// Keeps the keyboard focus where it is, and lets bars grow instead of jumping.
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
