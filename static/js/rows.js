/* Add and take away the rows of a formset; its indices stay without gaps. */

function rowsOf(box) {
  return [...box.querySelectorAll(":scope > [data-row]")];
}

function counter(box, name) {
  return box.querySelector(`[name="${CSS.escape(`${box.dataset.rows}-${name}`)}"]`);
}

function renumber(box) {
  const prefix = box.dataset.rows.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const pattern = new RegExp(`(?<![A-Za-z0-9-])${prefix}-(?:\\d+|__prefix__)-`, "g");
  const rows = rowsOf(box);
  rows.forEach((row, index) => {
    for (const element of row.querySelectorAll("[name], [id], [for], [aria-describedby]")) {
      for (const attribute of ["name", "id", "for", "aria-describedby"]) {
        const value = element.getAttribute(attribute);
        if (value) {
          element.setAttribute(
            attribute,
            value.replace(pattern, `${box.dataset.rows}-${index}-`),
          );
        }
      }
    }
  });
  counter(box, "TOTAL_FORMS").value = rows.length;
}

function add(box) {
  const row = box.querySelector(":scope > template").content.firstElementChild.cloneNode(true);
  box.insertBefore(row, box.querySelector(":scope > template"));
  renumber(box);
  row.querySelector("input:not([type='hidden']), select, textarea")?.focus();
}

function remove(row) {
  const box = row.closest("[data-rows]");
  const rows = rowsOf(box).filter((other) => !other.hidden);
  const place = rows.indexOf(row);
  const next = rows[place + 1] ?? rows[place - 1];
  const deletion = row.querySelector("[name$='-DELETE']");
  if (deletion && rowsOf(box).indexOf(row) < Number(counter(box, "INITIAL_FORMS").value)) {
    deletion.checked = true;
    row.hidden = true;
  } else {
    row.remove();
    renumber(box);
  }
  (next?.querySelector("[data-remove-row]") ?? box.querySelector("[data-add-row]")).focus();
}

document.addEventListener("click", (event) => {
  const adding = event.target.closest("[data-add-row]");
  if (adding) add(adding.closest("[data-rows]"));
  const removing = event.target.closest("[data-remove-row]");
  if (removing) remove(removing.closest("[data-row]"));
});

/* Blank rows are for people without scripts; here a button makes them. */
for (const box of document.querySelectorAll("[data-rows]")) {
  const blank = rowsOf(box).filter((row) => "blank" in row.dataset);
  for (const row of blank) row.remove();
  if (blank.length) renumber(box);
}
