// The table of a board: DataTables sorts and pages; filters, columns and unfolded rows follow the address.

const PAGE_ROWS = 50;

// Rows without a value come last in both directions.
for (const [ending, sign] of [["asc", 1], ["desc", -1]]) {
  backboneTable.DataTable.ext.type.order[`blanks-last-${ending}`] = (a, b) => {
    const blank = (x) => x === null || x === undefined || x === "";
    if (blank(a) || blank(b)) return Number(blank(a)) - Number(blank(b));
    const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
    return sign * order;
  };
}

function startTable(view) {
  const { data, section } = view;
  const table = find("table.models", section);
  find("tbody", table).replaceChildren();
  findAll("noscript", section).forEach((node) => node.remove());
  view.place = Object.fromEntries(data.columns.map((column, k) => [column.key, k]));
  view.table = new backboneTable.DataTable(table, {
    data: data.rows,
    columns: data.columns.map((column, k) => tableColumn(view, column, k)),
    order: wantedOrder(view),
    autoWidth: false,
    deferRender: true,
    paging: data.rows.length > PAGE_ROWS,
    pageLength: PAGE_ROWS,
    displayStart: PAGE_ROWS * wantedPage(),
    layout: {
      topStart: null,
      topEnd: null,
      bottomStart: null,
      bottomEnd: data.rows.length > PAGE_ROWS ? { paging: { firstLast: false } } : null,
    },
    createdRow: (line, row) => line.classList.add(row.tier === null ? "unranked" : `band-${row.tier % 2}`),
    language: { emptyTable: "No model.", zeroRecords: "No model fits these filters." },
  });
  view.table.search.fixed("panel", (text, row) => fits(row, view));
  view.table.on("order", () => keepOrder(view));
  view.table.on("draw", () => {
    state.set({ page: view.table.page() ? view.table.page() + 1 : "" });
    tellCount(view);
  });
  table.addEventListener("click", (event) => {
    const trigger = event.target.closest("button.unfold");
    if (trigger) unfold(view, view.table.row(trigger.closest("tr")));
  });
  applyTable(view);
}

function tableColumn(view, column, k) {
  const found = {
    type: "blanks-last",
    orderSequence: column.more ? ["desc", "asc"] : ["asc", "desc"],
    className: column.numeric ? "number" : "",
    data: null,
    render: (row, kind) => (kind === "display" ? row.texts[k] : row.values[k]),
  };
  if (column.key === "model") {
    found.cellType = "th";
    found.className = "model";
    found.createdCell = (cell, _, row) => {
      cell.scope = "row";
      cell.replaceChildren(modelCell(row, view));
    };
    found.render = (row, kind) => (kind === "display" ? "" : row.values[k]);
  } else {
    found.createdCell = (cell, _, row) => {
      const picture = column.key === "top1" ? intervalPicture(row.top1, view.data.span) : null;
      cell.replaceChildren(row.texts[k], ...(picture ? [picture] : []));
    };
    found.render = (row, kind) => (kind === "display" ? "" : row.values[k]);
  }
  return found;
}

function modelCell(row, view) {
  const shown = state.list("open").includes(row.name);
  const told = "on the front of accuracy against multiply-accumulates";
  const star = row.star ? [" ", element("span", { class: "star", role: "img", "aria-label": told, title: told }, page.star)] : [];
  return element(
    "div",
    { class: "named" },
    element("button", {
      type: "button", class: "unfold", "aria-expanded": String(shown), "aria-label": `Details of ${row.name}`,
    }),
    element("span", null, row.name, star),
  );
}

// Whether a row passes the filters; a row whose figure is unknown does not pass a limit on it.
function fits(row, view) {
  const families = state.list("family");
  if (families.length && !families.includes(row.family)) return false;
  const text = [row.name, row.family, ...row.notes.map(([short]) => short)].join(" ").toLowerCase();
  if (!state.get("q").toLowerCase().split(/\s+/).every((word) => text.includes(word))) return false;
  return [["params", "params_m"], ["latency", "latency_ms"]].every(([control, axis]) => {
    const [from, to] = [`${control}_from`, `${control}_to`].map((name) => Number.parseFloat(state.get(name)));
    if (Number.isNaN(from) && Number.isNaN(to)) return true;
    const value = costOf(view, row, axis)?.[0] ?? null;
    return value !== null && !(value < from) && !(value > to);
  });
}

function costOf(view, row, axis) {
  const k = view.data.axes.findIndex((found) => found.name === axis);
  return k < 0 ? null : row.costs[k];
}

const shownRows = (view) => view.table.rows({ search: "applied", order: "applied" }).data().toArray();

function applyTable(view) {
  const shown = new Set(view.data.presets[state.get("preset")] ?? view.data.presets.overview);
  view.table.columns().every(function showColumn(k) {
    this.visible(shown.has(k), false);
  });
  view.table.order(wantedOrder(view));
  const wanted = new Set(state.list("open"));
  view.data.rows.forEach((row, k) => {
    if (wanted.has(row.name) !== view.unfolded.has(row)) setDetails(view, view.table.row(k), wanted.has(row.name));
  });
  view.table.page(wantedPage()).draw(false);
}

const wantedPage = () => Math.max(0, (Number.parseInt(state.get("page"), 10) || 1) - 1);

function wantedOrder(view) {
  const [key, way] = state.get("sort").split(":");
  return key in view.place && ["asc", "desc"].includes(way) ? [[view.place[key], way]] : [[view.place.rank, "asc"]];
}

function keepOrder(view) {
  const [[column, way] = [view.place.rank, "asc"]] = view.table.order();
  const key = view.data.columns[column].key;
  state.set({ sort: key === "rank" && way === "asc" ? "" : `${key}:${way}` });
}

function tellCount(view) {
  const count = view.table.rows({ search: "applied" }).count();
  const every = view.data.rows.length;
  const told = count === every ? `${grouped(every)} ${every === 1 ? "model" : "models"}` : `${grouped(count)} of ${grouped(every)} models`;
  const place = find(".count", view.section);
  if (place.textContent !== told) place.textContent = told;
}

function unfold(view, row) {
  const name = row.data().name;
  const open = state.list("open").filter((other) => other !== name);
  const shown = !view.unfolded.has(row.data());
  state.set({ open: shown ? [...open, name] : open });
  setDetails(view, row, shown);
}

function setDetails(view, row, shown) {
  if (shown) {
    row.child(details(view, row.data()), "details").show();
    view.unfolded.add(row.data());
  } else {
    row.child.remove();
    view.unfolded.delete(row.data());
  }
  const node = row.node();
  if (node) find("button.unfold", node)?.setAttribute("aria-expanded", String(shown));
}

// Files for other programs hold the rows that the table shows, in its order, with all columns of leaderboard.csv.
function downloadRows(view, kind) {
  const { columns, rows } = view.data.table;
  const place = new Map(view.data.rows.map((row, k) => [row, k]));
  const lines = shownRows(view).map((row) => rows[place.get(row)]);
  const name = `leaderboard-${view.data.id}`;
  if (kind === "json") {
    const values = lines.map((line) => Object.fromEntries(columns.map((column, k) => [column, line[k]])));
    download(`${name}.json`, "application/json", `${JSON.stringify({ board: view.data.id, rows: values }, null, 1)}\n`);
    return;
  }
  const cell = (value) => {
    const text = value === null ? "" : value === true ? "True" : value === false ? "False" : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const text = [["board", ...columns], ...lines.map((line) => [view.data.id, ...line])].map((line) => line.map(cell).join(","));
  download(`${name}.csv`, "text/csv", `${text.join("\n")}\n`);
}
