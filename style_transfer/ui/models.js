// The table of models: a click on a column's name sorts by it, a click on a model's name unfolds what is known of it.
const rows = () => [...element.querySelectorAll("table.models > tbody")];
const sort = (header) => {
  const column = header.cellIndex, down = header.getAttribute("aria-sort") === "ascending";
  const key = (row) => row.rows[0].cells[column].dataset.sort;
  const sorted = rows().sort((a, b) => key(a).localeCompare(key(b), undefined, { numeric: true }));
  header.parentElement.querySelectorAll("th").forEach((other) => other.setAttribute("aria-sort", "none"));
  header.setAttribute("aria-sort", down ? "descending" : "ascending");
  header.closest("table").append(...(down ? sorted.reverse() : sorted));
};
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.closest("th")) return sort(button.closest("th"));
  const open = button.getAttribute("aria-expanded") !== "true";
  button.setAttribute("aria-expanded", open);
  button.closest("tbody").rows[1].hidden = !open;
});
