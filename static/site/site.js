// Runs on every page: it tells the server the person's time zone, and closes menus as people expect.

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone) document.cookie = `timezone=${zone}; path=${document.documentElement.dataset.cookiePath || "/"}; max-age=31536000; samesite=lax`;

const openMenus = () => document.querySelectorAll("details.menu[open], details.reveal-button[open]");

document.addEventListener("click", (event) => {
  for (const menu of openMenus()) if (!menu.contains(event.target)) menu.open = false;
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of openMenus()) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
