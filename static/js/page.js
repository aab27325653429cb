/* What every page has: menus that close, errors that take the focus, panels that stay open. */

const nothing = { focus: "", details: [], scrolls: [] };
let kept = nothing;

function closeMenus(except) {
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    if (menu !== except) menu.open = false;
  }
}

function openAround(target) {
  for (let box = target?.closest("details"); box; box = box.parentElement.closest("details")) {
    box.open = true;
  }
}

function focusErrors(inside) {
  inside.querySelector("[data-focus]")?.focus();
}

document.addEventListener("click", (event) => {
  closeMenus(event.target.closest("details[data-menu]"));
  const link = event.target.closest(".error-summary a[href^='#']");
  if (!link) return;
  const field = document.getElementById(link.hash.slice(1));
  if (!field) return;
  event.preventDefault();
  openAround(field);
  const input = field.matches("input, select, textarea") ? field : field.querySelector("input");
  (input ?? field).focus();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const menu = document.activeElement.closest("details[data-menu][open]");
  closeMenus();
  menu?.querySelector("summary").focus();
});

document.addEventListener("focusin", (event) => {
  closeMenus(event.target.closest("details[data-menu]"));
});

document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-select-all]")) return;
  const boxes = event.target.closest("form, table").querySelectorAll("tbody [type='checkbox']");
  for (const box of boxes) box.checked = event.target.checked;
});

/* A swap draws a part anew; what people have opened, scrolled or focused in it stays as it was. */
function scrollers(target) {
  return [...target.querySelectorAll("[role='region'][aria-label]")];
}

function placeOf(element) {
  if (element.id) return `#${CSS.escape(element.id)}`;
  const box = element.matches("summary") && element.parentElement.id;
  if (box) return `#${CSS.escape(box)} > summary`;
  for (const attribute of ["href", "name", "aria-label"]) {
    const value = element.getAttribute(attribute);
    if (value) return `${element.localName}[${attribute}="${CSS.escape(value)}"]`;
  }
  return "";
}

document.addEventListener("htmx:beforeSwap", (event) => {
  const { target } = event.detail;
  const focused = document.activeElement;
  kept = {
    focus: target.contains(focused) && !focused.matches("body") ? placeOf(focused) : "",
    details: [...target.querySelectorAll("details[id]")].map(({ id, open }) => [id, open]),
    scrolls: scrollers(target).map((box) => [box.scrollLeft, box.scrollTop]),
  };
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (!event.detail.target) return; // Going back restores a whole page.
  const target = document.getElementById(event.detail.target.id) ?? event.detail.target;
  for (const [id, open] of kept.details) {
    const box = document.getElementById(id);
    if (box) box.open = open;
  }
  const boxes = scrollers(target);
  if (boxes.length === kept.scrolls.length) {
    boxes.forEach((box, index) => box.scrollTo(...kept.scrolls[index]));
  }
  if (kept.focus && !target.contains(document.activeElement)) {
    target.querySelector(kept.focus)?.focus({ preventScroll: true });
  }
  kept = nothing;
  focusErrors(target);
});

/* The same words twice would be read out twice. */
document.addEventListener("htmx:oobBeforeSwap", (event) => {
  const { target, fragment } = event.detail;
  const same = target.textContent.trim() === fragment.textContent.trim();
  if (same) event.detail.shouldSwap = false;
});

focusErrors(document);
