"use strict";
// Fetches the page again every ten seconds and puts the new figures in place of the old ones. Everything works without it.
(() => {
  const EVERY = 10000;
  const button = document.getElementById("live");
  const state = document.getElementById("live-state");
  const current = () => document.querySelector("[data-live]");
  if (!button || !current()) return;
  let on = localStorage.getItem("live") !== "off";

  const show = () => {
    button.setAttribute("aria-pressed", String(on));
    button.textContent = on ? "Updates every 10 s" : "Updates are off";
  };

  // Whoever is choosing, reading with the keyboard or marking text is not disturbed.
  const busy = (live) =>
    document.hidden || live.contains(document.activeElement) || live.querySelector("input:checked") ||
    [...live.querySelectorAll("input")].some((field) => field.type !== "hidden" && field.type !== "checkbox" && field.value) ||
    !(getSelection()?.isCollapsed ?? true);

  const update = async () => {
    const live = current();
    if (!on || busy(live)) return;
    try {
      const response = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "error", cache: "no-store" });
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const fresh = page.querySelector("[data-live]");
      if (!fresh) throw new Error("no figures");
      if (!busy(live)) live.replaceWith(document.adoptNode(fresh));
      state.textContent = "";
    } catch {
      state.textContent = "The relay does not answer; these figures are old.";
    }
  };

  button.addEventListener("click", () => {
    on = !on;
    localStorage.setItem("live", on ? "on" : "off");
    show();
  });
  button.hidden = false;
  show();
  setInterval(update, EVERY);
})();
