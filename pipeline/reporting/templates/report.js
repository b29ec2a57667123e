"use strict";
document.documentElement.classList.add("js");

// The table: a click on a heading sorts the rows of each group; figures start with the largest, names with A.
function sortable(table) {
  const headings = [...table.querySelectorAll("thead th:has(button)")];
  // Headings over both rows come first in the document and in a body's rows, so their order is that of the columns.
  headings.forEach((heading, column) => heading.querySelector("button").addEventListener("click", () => {
    const textual = heading.hasAttribute("data-text");
    const before = heading.getAttribute("aria-sort");
    const up = before ? before === "descending" : textual;
    headings.forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", up ? "ascending" : "descending");
    for (const body of table.querySelectorAll("tbody.ours, tbody.published")) {
      const key = (row) => textual ? row.cells[column].textContent.trim() : row.cells[column].dataset.value;
      const absent = (row) => !textual && key(row) === undefined;
      const compare = (a, b) => textual ? key(a).localeCompare(key(b)) : key(a) - key(b);
      const rows = [...body.rows].sort((a, b) =>
        absent(a) - absent(b) || (absent(a) ? 0 : (up ? 1 : -1) * compare(a, b)));
      body.append(...rows);
    }
  }));
}

for (const article of document.querySelectorAll("article")) {
  const $ = (selector) => article.querySelector(selector);
  const all = (selector) => [...article.querySelectorAll(selector)];
  sortable($(".scores"));

  const kinds = $(".all-kinds");
  const showKinds = () => all(".minor").forEach((row) => row.classList.toggle("hidden", !kinds.checked));
  kinds.addEventListener("change", showKinds);
  showKinds();

  // The charts of the chosen image set.
  const set = $(".set-choice");
  if (set) {
    const show = () => all(".charts[data-set]").forEach((one) => {
      one.hidden = one.dataset.set !== set.value;
    });
    set.addEventListener("change", show);
    show();
  }

  // Two versions of an image in one place.
  const pictures = JSON.parse($(".pictures").textContent);
  if (pictures.length) {
    const canvas = $(".canvas");
    const buttons = all("[data-picture]");
    const select = { left: $(".left-version"), right: $(".right-version") };
    const labels = pictures[0].versions.map((version) => version.label);
    for (const side of Object.values(select)) labels.forEach((label, index) => side.add(new Option(label, index)));
    let picture = 0;

    const showSplit = divided(canvas, $(".split"), () => labels[select.left.value]);
    const showPicture = () => {
      const { width, height, versions } = pictures[picture];
      canvas.style.aspectRatio = `${width} / ${height}`;
      canvas.style.maxWidth = `${2 * width}px`;
      for (const side of ["left", "right"]) {
        const { label, score, uri } = versions[select[side].value];
        $(`.${side}`).src = uri;
        $(`.${side}`).alt = label;
        $(`.at-${side}`).textContent = score ? `${label}, ${score}` : label;
      }
      buttons.forEach((button, index) => button.setAttribute("aria-pressed", index === picture));
      showSplit();
    };
    buttons.forEach((button, index) => button.addEventListener("click", () => { picture = index; showPicture(); }));
    Object.values(select).forEach((side) => side.addEventListener("change", showPicture));

    const start = $(".compare").dataset;
    select.left.value = start.left;
    select.right.value = start.right;
    showPicture();
  }
}
