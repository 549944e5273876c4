// Makes renaming quick: a click on a name in the text, or an address that ends with #speaker-S1, opens the form of
// that speaker with the cursor in it. Enter saves a name, Escape leaves it as it was. Whoever puts a number beside
// "exactly" means that.

function open() {
  const details = location.hash.startsWith("#speaker-") && document.getElementById(location.hash.slice(1));
  if (!details) return;
  details.open = true;
  const field = details.querySelector("input[name=name]");
  field.focus();
  field.select();
}

addEventListener("hashchange", open);
document.getElementById("transcript")?.addEventListener("click", (event) => {
  // The address may be the same as before.
  if (event.target.closest("a.speaker")?.hash === location.hash) open();
});
open();

document.getElementById("speakers")?.addEventListener("keydown", (event) => {
  const details = event.target.closest("details[open]");
  if (event.key !== "Escape" || event.isComposing || !details) return;
  for (const form of details.querySelectorAll("form")) form.reset();
  details.open = false;
  details.querySelector("summary").focus();
});

for (const number of document.querySelectorAll(".speaker-count input[type=number]")) {
  const how = number.name === "num_speakers" ? "exactly" : "between";
  number.addEventListener("input", () => {
    document.querySelector(`.speaker-count input[value=${how}]`).checked = true;
  });
}
