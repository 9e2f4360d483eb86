// Interactive charts. Specifications come from Altair; Vega interprets their expressions, so that the page needs no
// permission to evaluate text as script.

const COLOURS = {
  light: ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#7a6a00"],
  dark: ["#56B4E9", "#F0803C", "#35C99A", "#E29AC4", "#9CD3F7", "#F2B632", "#FFFFFF", "#D9CF6A"],
};
const MOST_CURVES = 8;
const MOST_NAMED = 14;
const SVG_UP_TO = 200;
const CROWDED = 150;

const isDark = () => getComputedStyle(document.documentElement).colorScheme === "dark";

function look() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const font = getComputedStyle(document.body).fontFamily;
  const text = { labelColor: colour("--ink"), titleColor: colour("--ink"), labelFont: font, titleFont: font };
  return {
    background: "transparent",
    font,
    view: { stroke: null },
    axis: {
      ...text, gridColor: colour("--line"), domainColor: colour("--quiet"), tickColor: colour("--quiet"),
      labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal", titlePadding: 8, labelOverlap: true,
    },
    legend: { ...text, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" },
    range: {
      category: COLOURS[isDark() ? "dark" : "light"],
      heatmap: isDark() ? ["#1d2127", "#2b5a86", "#9fd0ff"] : ["#f4f7fb", "#7fb2dc", "#0b3f74"],
    },
  };
}

// Draws one chart into its place; the last call wins where several overlap.
async function draw(view, name, spec, rows, options = {}) {
  const place = find(`[data-chart="${name}"]`, view.section);
  const turn = (view.turns[name] = (view.turns[name] ?? 0) + 1);
  const chart = structuredClone(spec);
  const narrow = place.clientWidth < 520;
  chart.data = { name: "rows", values: rows };
  chart.width = options.width ?? "container";
  chart.height = options.height ?? (narrow ? 280 : 360);
  chart.autosize = { type: options.width ? "pad" : "fit", contains: "padding" };
  chart.description = options.description;
  const config = look();
  if (narrow) Object.assign(config.legend, { orient: "bottom", columns: 2, labelLimit: 120 });
  options.adapt?.(chart, narrow);
  view.charts[name]?.finalize();
  const result = await backboneCharts.embed(place, chart, {
    actions: false,
    ast: true,
    config,
    defaultStyle: false,
    patch: options.patch,
    renderer: rows.length > SVG_UP_TO ? "canvas" : "svg",
    tooltip: { disableDefaultStyle: true, theme: "custom" },
  });
  if (turn !== view.turns[name]) {
    result.finalize();
    return null;
  }
  view.charts[name] = result;
  return result.view;
}

function tell(view, name, text) {
  const place = find(`[data-told="${name}"]`, view.section);
  if (place) place.textContent = text;
}

const hundred = (fraction) => (fraction === null ? null : 100 * fraction);
const STATES = { front: "on the front", beaten: "beaten beyond doubt", undecided: "not decided", unranked: "not compared" };

function paretoRows(view, axis) {
  const less = view.data.axes.find((found) => found.name === axis).less;
  const found = shownRows(view).flatMap((row) => {
    const cost = costOf(view, row, axis);
    if (!row.top1 || cost === null || !(cost[0] > 0)) return [];
    const [x, low, high, place, why] = cost;
    const [y, yLow, yHigh] = row.top1.map(hundred);
    return [{
      name: row.name, family: page.families.includes(row.family) ? row.family : "other",
      x, low: low > 0 ? low : x, high: high ?? x, y, y_low: yLow ?? y, y_high: yHigh ?? y, edge: false, on: place === "front",
      told: withInterval(row.top1), cost: costWords(x, low, high, why),
      state: why && place === "undecided" ? `${STATES[place]}: ${why}` : STATES[place],
    }];
  });
  let best = -Infinity;
  for (const row of [...found].sort((a, b) => (less ? a.x - b.x : b.x - a.x) || b.y - a.y)) {
    row.edge = row.y > best;
    best = Math.max(best, row.y);
  }
  for (const row of [...found].sort((a, b) => b.edge - a.edge || b.y - a.y).slice(0, MOST_NAMED)) row.named = true;
  return found;
}

const precise = (x) => (x >= 100 ? grouped(Math.round(x)) : Number(x.toPrecision(3)).toString());

function costWords(x, low, high, why) {
  const interval = low !== null && high !== null && low !== high ? ` [${precise(low)}, ${precise(high)}]` : "";
  return `${precise(x)}${interval}${why ? ` (${why})` : ""}`;
}

async function drawPareto(view) {
  const measured = view.data.axes.filter((axis) => axis.measured);
  if (!measured.length) return;
  const axis = measured.some((found) => found.name === state.get("axis")) ? state.get("axis") : measured[0].name;
  const rows = paretoRows(view, axis);
  const crowded = rows.length > CROWDED;
  const chart = await draw(view, "pareto", page.charts.pareto[axis], rows, {
    description: `Accuracy against ${page.axisTitles[axis]}, ${rows.length} models. The table has the same numbers.`,
    adapt: (spec, narrow) => {
      spec.params[0].value = barsShown(view);
      if (crowded) spec.layer.at(-1).mark.size = 36;
      if (narrow) shortTitle(spec, page.axisLabels[axis]);
    },
    patch: namesBesideDots,
  });
  tell(view, "pareto", paretoWords(rows, axis, view));
  chart?.addEventListener("click", (_, item) => {
    if (item?.datum?.name) view.show({ open: [...new Set([...state.list("open"), item.datum.name])] }, ".scroll");
  });
}

// Intervals of very many models would hide the models; whoever wants them can have them.
const barsShown = (view) => (state.get("bars") ? state.get("bars") === "1" : view.data.rows.length <= CROWDED);

function shortTitle(spec, title) {
  for (const layer of spec.layer) if (layer.encoding.x.title) layer.encoding.x.title = `${title} (log scale)`;
}

function paretoWords(rows, axis, view) {
  const missing = shownRows(view).filter((row) => row.top1).length - rows.length;
  const left = missing ? ` ${grouped(missing)} of the models shown in the table ${missing === 1 ? "has" : "have"} no such figure.` : "";
  const front = rows.filter((row) => row.on).map((row) => row.name);
  const names = front.length > MOST_NAMED ? `${front.length} models` : front.join(", ") || "no model";
  return `Filled: not beaten beyond doubt on accuracy and cost together (${names}). Hollow: beaten, or not decided. The dashed line joins the best estimates. Choose a point to unfold its row.${left}`;
}

// Vega places names where they cover neither points nor each other; where there is no room, it leaves them out.
function namesBesideDots(spec) {
  const dots = spec.marks.find((mark) => mark.name === "dots_marks");
  if (!dots) return spec;
  const ink = getComputedStyle(document.documentElement).getPropertyValue("--ink").trim();
  spec.marks.push({
    type: "text",
    name: "names",
    interactive: false,
    from: { data: "dots_marks" },
    encode: {
      enter: {
        text: { signal: "datum.datum.named ? datum.datum.name : ''" },
        fontSize: { value: 12 },
        fill: { value: ink },
      },
    },
    transform: [{
      type: "label", size: { signal: "[max(width, 1), max(height, 1)]" }, padding: 0, offset: [7, 7, 7, 7, 5, 5, 5, 5],
      anchor: ["right", "left", "top", "bottom", "top-right", "bottom-right", "top-left", "bottom-left"],
    }],
  });
  return spec;
}

async function drawCurves(view) {
  const chosen = [state.get("a"), state.get("b")];
  const able = shownRows(view).filter((row) => row.points.length);
  const first = able.filter((row) => chosen.includes(row.name));
  const rest = able.filter((row) => !chosen.includes(row.name)).sort((a, b) => (b.top1?.[0] ?? 0) - (a.top1?.[0] ?? 0));
  const kept = new Set([...first, ...rest].slice(0, MOST_CURVES));
  const rows = view.data.rows.filter((row) => kept.has(row)).flatMap((row) =>
    row.points.map(([size, value, low, high]) => ({
      name: row.name, x: size, y: hundred(value), y_low: hundred(low ?? value), y_high: hundred(high ?? value),
      told: withInterval([value, low, high]),
    })));
  await draw(view, "curves", page.charts.curves, rows, {
    description: `Accuracy against training images of ${kept.size} models. Each row of the table unfolds to the same numbers.`,
    adapt: (spec) => {
      const domain = view.data.rows.filter((row) => kept.has(row)).map((row) => row.name);
      for (const { encoding } of spec.layer) {
        encoding.x.axis = { ...encoding.x.axis, values: view.data.sizes };
        encoding.color.scale = { domain };
        if (encoding.shape) encoding.shape.scale.domain = domain;
      }
    },
  });
  const more = able.length - kept.size;
  const which = more > 0 ? `The ${kept.size} best of the models shown in the table, and the two compared below; ${grouped(more)} more fit the filters. ` : "";
  tell(view, "curves", `${which}Bands are 95 % intervals of each point${view.data.seeds.length === 1 ? ": one seed, test-set uncertainty only" : ""}.`);
}
