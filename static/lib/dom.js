// Finds and changes elements of a page.

const FIELDS = "input, textarea, select, button, a, summary, audio, video, [contenteditable]";

export const part = (id) => document.getElementById(id);

// Returns a new copy of the content of a <template>.
export function copyOf(id) {
  return part(id).content.firstElementChild.cloneNode(true);
}

// Writes a text into an element, but only if it differs: a screen reader reads a live region again after each write.
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Tells whether the element with the focus needs the keys itself.
export function inField(event) {
  return Boolean(event.target.closest?.(FIELDS));
}
