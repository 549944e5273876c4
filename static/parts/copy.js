// <button data-copy="#id" hidden> copies the text of that element, or only of its data-copy-part elements if it has
// some.

function textOf(element) {
  const parts = element.querySelectorAll("[data-copy-part]");
  if (parts.length) return Array.from(parts, (part) => part.textContent.trim()).join("\n\n") + "\n";
  return element.textContent.trim();
}

async function write(text) {
  // Browsers have a clipboard only over https and on localhost. The old way below works everywhere.
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "unseen";
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("The browser did not copy.");
}

for (const button of document.querySelectorAll("[data-copy]")) {
  const label = button.querySelector("span");
  const word = label.textContent;
  let timer;
  button.hidden = false;
  button.addEventListener("click", async () => {
    clearTimeout(timer);
    try {
      await write(textOf(document.querySelector(button.dataset.copy)));
      label.textContent = "Copied";
    } catch {
      label.textContent = "Select it and copy by hand";
    }
    timer = setTimeout(() => (label.textContent = word), 2500);
    button.focus();
  });
}
