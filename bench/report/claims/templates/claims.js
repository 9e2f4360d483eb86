// Filters and the theme of the page of claims. Without it everything is there and readable.

const find = (selector, root = document) => root.querySelector(selector);
const findAll = (selector, root = document) => [...root.querySelectorAll(selector)];

const form = find("form.toolbar");
const status = find(".count");
const rows = findAll("tr[data-claim]");

function kindFits(row, kind) {
  if (!kind) return true;
  if (kind === "confirmatory") return "confirmatory" in row.dataset;
  return kind === "S" ? row.dataset.kind === "S" : row.dataset.kind.includes("M");
}

function filter() {
  const wanted = { text: form.text.value.trim().toLowerCase(), verdict: form.verdict.value, kind: form.kind.value };
  let shown = 0;
  for (const row of rows) {
    const section = document.getElementById(row.dataset.claim);
    const text = `${row.textContent} ${section.textContent}`.toLowerCase();
    const fits =
      (!wanted.text || text.includes(wanted.text)) &&
      (!wanted.verdict || row.dataset.verdict === wanted.verdict) &&
      kindFits(row, wanted.kind);
    row.hidden = !fits;
    section.hidden = !fits;
    shown += fits;
  }
  status.textContent = `${shown} of ${rows.length} claims`;
}

function openAll(open) {
  for (const part of findAll("section.claim > details")) part.open = open;
}

const themes = ["system", "light", "dark"];
const button = find("button.theme");
function applyTheme(name) {
  if (name === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  button.textContent = `Theme: ${name}`;
}
button.addEventListener("click", () => {
  const now = document.documentElement.dataset.theme ?? "system";
  applyTheme(themes[(themes.indexOf(now) + 1) % themes.length]);
});

for (const part of findAll(".scripted")) part.hidden = false;
form.addEventListener("input", filter);
form.addEventListener("submit", (event) => event.preventDefault());
form.elements.open.addEventListener("click", () => openAll(true));
form.elements.close.addEventListener("click", () => openAll(false));
addEventListener("beforeprint", () => openAll(true));
filter();
