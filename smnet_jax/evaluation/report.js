// The report's two conveniences: sorting rows by a column, and looking at one picture large. Without scripts the
// page is complete, in the order of the file names.
"use strict";

const sheet = document.getElementById("pictures");
const body = sheet.querySelector("tbody");
// A header's title without the arrow that says which way is better.
const title = (header) => header.querySelector("button").firstChild.textContent.trim();
const headers = [...sheet.querySelectorAll("thead th[data-column]")];

// Order the rows by a column; a picture without the value goes last either way.
function sortBy(column, descending) {
  const header = headers.find((h) => h.dataset.column === column);
  if (!header) return;
  const place = header.cellIndex;
  const numeric = header.dataset.kind === "number";
  const value = (row) => {
    const text = row.cells[place].dataset.value;
    return numeric ? { inf: Infinity, "-inf": -Infinity }[text] ?? Number.parseFloat(text) : text;
  };
  const compare = (a, b) => {
    const x = value(a), y = value(b);
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
    const order = numeric ? (x < y ? -1 : x > y ? 1 : 0) : x.localeCompare(y, "en", { numeric: true });
    return descending ? -order : order;
  };
  body.append(...[...body.rows].sort(compare));
  for (const h of headers) h.setAttribute("aria-sort", h === header ? (descending ? "descending" : "ascending") : "none");
  document.getElementById("announce").textContent =
    `Sorted by ${title(header)}, ${descending ? "descending" : "ascending"}`;
}

// The first click on a column shows its worst picture on top, the second turns the order round.
function clicked(header) {
  const now = header.getAttribute("aria-sort");
  const descending = now === "none" ? header.dataset.first === "descending" : now === "ascending";
  sortBy(header.dataset.column, descending);
  history.replaceState(null, "", `#sort=${descending ? "-" : ""}${header.dataset.column}`);
}
for (const header of headers) header.querySelector("button").addEventListener("click", () => clicked(header));

const everything = document.getElementById("everything");
everything?.addEventListener("change", () => sheet.classList.toggle("everything", everything.checked));

// #sort=psnr or #sort=-psnr, so that a sorted page can be passed on.
function followHash() {
  const wanted = /^#sort=(-?)(\w+)$/.exec(location.hash);
  if (!wanted) return;
  const header = headers.find((h) => h.dataset.column === wanted[2]);
  if (header?.classList.contains("other") && everything && !everything.checked) everything.click();
  sortBy(wanted[2], wanted[1] === "-");
}
addEventListener("hashchange", followHash);
followHash();

const viewer = document.getElementById("viewer");
let shown = null;
function show(row) {
  shown = row;
  viewer.querySelector("h3").textContent = row.cells[0].dataset.value;
  const figures = [...row.querySelectorAll(".thumb img")].map((thumb) => {
    const figure = document.createElement("figure");
    const image = document.createElement("img");
    image.src = thumb.src;
    image.alt = thumb.alt;
    const caption = document.createElement("figcaption");
    caption.textContent = thumb.dataset.kind;
    figure.append(image, caption);
    return figure;
  });
  viewer.querySelector(".views").replaceChildren(...figures);
  const scores = headers.slice(1).filter((h) => !h.classList.contains("other"))
    .map((h) => `${title(h)} ${row.cells[h.cellIndex].textContent.trim()}`);
  viewer.querySelector("p").textContent = scores.join(" · ");
  if (!viewer.open) viewer.showModal();
}
function step(by) {
  const rows = [...body.rows];
  show(rows[(rows.indexOf(shown) + by + rows.length) % rows.length]);
}
body.addEventListener("click", (event) => {
  const thumb = event.target.closest(".thumb");
  if (thumb) show(thumb.closest("tr"));
});
viewer.addEventListener("keydown", (event) => {
  if (event.key === "ArrowRight") step(1);
  if (event.key === "ArrowLeft") step(-1);
});
viewer.addEventListener("click", (event) => {
  if (event.target === viewer) viewer.close();
});
for (const [name, action] of [["previous", () => step(-1)], ["next", () => step(1)], ["close", () => viewer.close()]]) {
  viewer.querySelector(`.${name}`).addEventListener("click", action);
}
