// The confusion matrix of one model, its worst pairs, and the images behind each of them.

const NUMBERS_UP_TO = 12;
const WORST = 10;

function confusedRow(view) {
  const able = view.data.rows.filter((row, k) => view.data.confusions[k]);
  return able.find((row) => row.name === state.get("model")) ?? able[0] ?? null;
}

// Cells that are not empty, with the share of their true class; and the classes shown.
function confusionCells(view, row) {
  const { classes: shown, images, cells: packed } = view.data.confusions[view.data.rows.indexOf(row)];
  const cells = [];
  for (let k = 0; k < packed.length; k += 2) {
    const [truth, named] = [Math.floor(packed[k] / shown.length), packed[k] % shown.length];
    cells.push({ truth: shown[truth], named: shown[named], count: packed[k + 1], share: packed[k + 1] / images[truth] });
  }
  return { cells, shown };
}

const worstPairs = (cells) => cells.filter((cell) => cell.truth !== cell.named).sort((a, b) => b.share - a.share || b.count - a.count);

// Names that differ even where the data set gives two classes the same one.
function classNames(view) {
  const seen = new Map();
  return view.data.classes.map((name) => {
    const times = (seen.get(name) ?? 0) + 1;
    seen.set(name, times);
    return times > 1 ? `${name} (${times})` : name;
  });
}

// Pixels of the matrix's side, so that its labels and its legend fit beside it.
function matrixSide(view, shown, names) {
  const room = find('[data-chart="confusion"]', view.section).clientWidth;
  const labels = 45 + Math.min(110, 8 * Math.max(...shown.map((k) => names[k].length)));
  return Math.max(120, Math.min(34 * shown.length, 620, room - labels - (room < 520 ? 0 : 80)));
}

async function showConfusions(view) {
  const row = confusedRow(view);
  if (!row || !find('[data-chart="confusion"]', view.section)) return;
  find('[data-control="model"]', view.section).value = row.name;
  const { cells, shown } = confusionCells(view, row);
  const worst = worstPairs(cells);
  const names = classNames(view);
  listWorst(view, row, worst.slice(0, WORST), names);
  showImages(view, row, cells, names);
  const rows = matrixRows(cells, shown, names);
  const side = matrixSide(view, shown, names);
  const chart = await draw(view, "confusion", page.charts.confusion, rows, {
    width: side,
    height: side,
    description: `Confusion matrix of ${row.name}. The list of the most confused pairs says the worst of it.`,
    adapt: (spec, narrow) => {
      if (shown.length > NUMBERS_UP_TO || side / shown.length < 24) spec.layer.splice(1);
      if (narrow) spec.layer[0].encoding.color.legend = null;
    },
  });
  chart?.addEventListener("click", (_, item) => {
    if (item?.datum?.count) choose(view, item.datum.at);
  });
  const which = shown.length < names.length ? `The ${shown.length} classes of its worst confusions, of ${grouped(names.length)}. ` : "";
  tell(view, "confusion", `${which}Rows are true classes, in percent of their test images, all seeds together, at ${grouped(row.points.at(-1)[0])} training images. Choose a cell to see its images.`);
}

function matrixRows(cells, shown, names) {
  const known = new Map(cells.map((cell) => [`${cell.truth}-${cell.named}`, cell]));
  return shown.flatMap((truth) => shown.map((named) => {
    const cell = known.get(`${truth}-${named}`);
    const [images, share] = cell ? [cell.count, 100 * cell.share] : [0, 0];
    return {
      true: names[truth], predicted: names[named], count: images, share, at: `${truth}-${named}`,
      text: images ? (share >= 9.95 ? share.toFixed(0) : share.toFixed(1)) : "",
      dark: isDark() ? share < 45 : share > 35,
    };
  }));
}

function listWorst(view, row, worst, names) {
  const place = find('[data-part="worst"]', view.section);
  if (!worst.length) {
    place.replaceChildren(element("li", null, "No image was confused."));
    return;
  }
  place.replaceChildren(...worst.map((cell) => {
    const at = `${cell.truth}-${cell.named}`;
    const told = `${names[cell.truth]} → ${names[cell.named]}`;
    const trigger = button(told, () => choose(view, at), { "aria-pressed": String(state.get("cell") === at) });
    trigger.dataset.cell = at;
    return element("li", null, trigger, element("span", { class: "share" }, `${percent(cell.share)} % (${grouped(cell.count)})`));
  }));
}

function choose(view, at) {
  state.set({ cell: state.get("cell") === at ? "" : at });
  const row = confusedRow(view);
  for (const trigger of findAll('[data-part="worst"] button', view.section)) {
    trigger.setAttribute("aria-pressed", String(trigger.dataset.cell === state.get("cell")));
  }
  showImages(view, row, confusionCells(view, row).cells, classNames(view));
}

function showImages(view, row, cells, names) {
  const place = find('[data-part="images"]', view.section);
  const cell = cells.find((found) => `${found.truth}-${found.named}` === state.get("cell"));
  if (!cell) {
    place.replaceChildren();
    return;
  }
  const heading = element("h4", null, `${names[cell.truth]} taken for ${names[cell.named]} by ${row.name}`);
  const answers = answersOf(view, row);
  if (!answers) {
    place.replaceChildren(heading, element("p", { class: "note" }, "The answers of this model to single images are not on this page; they stand in predictions.npz beside its records."));
    return;
  }
  const every = [...answers.values()];
  const times = (k) => every.filter((line) => line[k] === cell.named).length;
  const at = [...view.images.label.keys()].filter((k) => view.images.label[k] === cell.truth && times(k));
  const told = `${grouped(at.length)} test ${at.length === 1 ? "image" : "images"}${every.length > 1 ? `, with at least one of ${every.length} seeds` : ""}`;
  say(view, `${heading.textContent}: ${told}`);
  place.replaceChildren(heading, gallery(view, at.sort((a, b) => times(b) - times(a) || a - b), row, told));
}
