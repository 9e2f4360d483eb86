// Puts the parts together: which board is shown, what its controls do, and how the address follows.

const page = JSON.parse(find("#data").textContent);
const views = page.boards.map((data, k) => ({
  data, section: find(`section.board[data-number="${k}"]`), charts: {}, turns: {}, unfolded: new Set(), started: false,
}));

const currentView = () => views.find((view) => view.data.id === state.get("board")) ?? views[0];
const drawAll = (view) => (view.hasResults ? Promise.all([drawPareto(view), drawCurves(view), showConfusions(view)]) : null);

function start(view) {
  view.started = true;
  view.hasResults = view.data.rows.some((row) => row.points.length);
  view.redraw = later(() => { if (view.seen && view.hasResults) drawPareto(view).then(() => drawCurves(view)); }, 150);
  view.show = (changes, selector) => {
    state.set(changes);
    apply(view);
    const target = find(selector, view.section);
    target?.scrollIntoView({ block: "start", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  };
  fillChoices(view);
  startTable(view);
  listen(view);
  whenIdle(() => { view.seen = true; showComparison(view); drawAll(view); });
}

// Charts wait until the table can be used.
function whenIdle(action) {
  if ("requestIdleCallback" in window) requestIdleCallback(action, { timeout: 1500 });
  else setTimeout(action, 50);
}

function apply(view) {
  fillControls(view);
  applyTable(view);
  if (view.seen) {
    showComparison(view);
    drawAll(view);
  }
}

function showBoard() {
  const view = currentView();
  if (!view) return;
  for (const other of views) other.section.hidden = other !== view;
  for (const link of findAll("[data-board]")) {
    if (link.dataset.board === view.data.id) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (view.started) apply(view);
  else {
    fillControls(view);
    start(view);
  }
}

const NUMBERS = ["params_from", "params_to", "latency_from", "latency_to"];

function fillControls(view) {
  const { section } = view;
  const preset = view.data.presets[state.get("preset")] ? state.get("preset") : "overview";
  find(`input[type="radio"][value="${preset}"]`, section).checked = true;
  for (const name of ["q", ...NUMBERS]) {
    const control = find(`[data-control="${name}"]`, section);
    if (control && control.value !== state.get(name)) control.value = state.get(name);
  }
  const families = state.list("family");
  for (const tick of findAll("[data-family]", section)) {
    tick.checked = !families.length || families.includes(tick.dataset.family);
  }
  const axis = find('[data-control="axis"]', section);
  if (axis && [...axis.options].some((option) => option.value === state.get("axis"))) axis.value = state.get("axis");
  const bars = find('[data-control="bars"]', section);
  if (bars) bars.checked = barsShown(view);
  tellFilters(view);
}

function tellFilters(view) {
  const active = Number(state.list("family").length > 0)
    + Number(NUMBERS.slice(0, 2).some((name) => state.get(name)))
    + Number(NUMBERS.slice(2).some((name) => state.get(name)));
  find(".filters .active", view.section).textContent = active ? `(${active})` : "";
}

function filter(view, changes) {
  state.set({ ...changes, page: "" });
  tellFilters(view);
  view.table.draw();
  view.redraw();
}

function listen(view) {
  const { section } = view;
  const form = find("form.toolbar", section);
  const on = (selector, kind, action) => findAll(selector, section).forEach((node) => node.addEventListener(kind, () => action(node)));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    filter(view, { q: "", family: [], ...Object.fromEntries(NUMBERS.map((name) => [name, ""])) });
    fillControls(view);
  });
  on('.presets input[type="radio"]', "change", (node) => {
    state.set({ preset: node.value === "overview" ? "" : node.value });
    applyTable(view);
  });
  for (const name of ["q", ...NUMBERS]) on(`[data-control="${name}"]`, "input", (node) => filter(view, { [name]: node.value.trim() }));
  on("[data-family]", "change", () => {
    const ticks = findAll("[data-family]", section);
    const chosen = ticks.filter((tick) => tick.checked).map((tick) => tick.dataset.family);
    filter(view, { family: chosen.length === ticks.length ? [] : chosen });
    if (!chosen.length) fillControls(view);
  });
  on("[data-download]", "click", (node) => downloadRows(view, node.dataset.download));
  on("[data-copy]", "click", (node) => copyText(location.href, node));
  on('[data-control="axis"]', "change", (node) => { state.set({ axis: node.value }); drawPareto(view); });
  on('[data-control="bars"]', "change", (node) => {
    state.set({ bars: node.checked ? "1" : "0" });
    view.charts.pareto?.view.signal("bars", node.checked).runAsync();
  });
  on('[data-control="model"]', "change", (node) => { state.set({ model: node.value, cell: "" }); showConfusions(view); });
  for (const name of ["a", "b"]) {
    on(`[data-control="${name}"]`, "change", (node) => {
      const [first, second] = comparedRows(view);
      state.set({ a: first.name, b: second?.name, [name]: node.value });
      showComparison(view);
      say(view, `${comparedRows(view).map((row) => row.name).join(" and ")} are compared`);
      drawCurves(view);
    });
  }
}

// Light, dark, or as the system has it; kept for the next visit where the browser allows that.
const THEMES = ["system", "light", "dark"];

function startTheme() {
  const trigger = find("button.theme");
  const kept = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  let theme = THEMES.includes(kept()) ? kept() : "system";
  const use = () => {
    document.documentElement.dataset.theme = theme;
    trigger.textContent = `Theme: ${theme}`;
    for (const view of views) if (view.seen && !view.section.hidden) drawAll(view);
  };
  trigger.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    try { localStorage.setItem("theme", theme); } catch { /* It lasts as long as the page then. */ }
    use();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (theme === "system") use(); });
  use();
}

function startPrinting() {
  let before = null;
  addEventListener("beforeprint", () => {
    const view = currentView();
    const stamp = view && find("details.stamp", view.section);
    if (stamp && !stamp.open) {
      stamp.open = true;
      addEventListener("afterprint", () => { stamp.open = false; }, { once: true });
    }
    if (!view?.table?.page.info().pages) return;
    before = view.table.page.len();
    view.table.page.len(-1).draw(false);
  });
  addEventListener("afterprint", () => {
    if (before !== null) currentView().table.page.len(before).draw(false);
    before = null;
  });
}

document.documentElement.classList.add("js");
findAll(".scripted").forEach((node) => { node.hidden = false; });
find("a.skip").addEventListener("click", (event) => {
  event.preventDefault();
  find("#main").focus();
});
addEventListener("hashchange", () => {
  state.read();
  showBoard();
});
state.read();
startTheme();
startPrinting();
showBoard();
