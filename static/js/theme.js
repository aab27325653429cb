/* Choose light, dark or what the system says. Loaded without defer, so that no page flashes. */
(() => {
  const root = document.documentElement;
  const key = "medstack-theme";

  const saved = () => {
    try {
      return localStorage.getItem(key) ?? "system";
    } catch {
      return "system"; // Storage can be forbidden; the switch then lasts for one page.
    }
  };

  const apply = (choice) => {
    if (choice === "light" || choice === "dark") root.dataset.theme = choice;
    else delete root.dataset.theme;
    for (const button of document.querySelectorAll("[data-theme-choice]")) {
      button.setAttribute("aria-pressed", String(button.dataset.themeChoice === choice));
    }
  };

  root.dataset.scripts = "";
  apply(saved());

  document.addEventListener("DOMContentLoaded", () => apply(saved()));
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-theme-choice]");
    if (!button) return;
    try {
      localStorage.setItem(key, button.dataset.themeChoice);
    } catch {
      // See saved().
    }
    apply(button.dataset.themeChoice);
  });
  window.addEventListener("storage", (event) => event.key === key && apply(saved()));
})();
