// Two models side by side: figures, paired differences by train size and by class, and images on which they disagree.

const MOST_CLASSES = 20;
const MOST_IMAGES = 24;

function pairOf(view, a, b, size) {
  const listed = view.data.pairs.find((found) => found.size === size)?.of ?? [];
  const found = listed.find((entry) => (entry[0] === a && entry[1] === b) || (entry[0] === b && entry[1] === a));
  if (!found) return null;
  const [first, , difference, low, high, p, seeds, apart] = found;
  const turned = first !== a;
  return {
    difference: turned ? -difference : difference, low: turned ? -high : low, high: turned ? -low : high,
    p, seeds, apart: Boolean(apart),
  };
}

function fillChoices(view) {
  const able = view.data.rows.filter((row) => row.points.length);
  const options = (rows) => rows.map((row) => element("option", { value: row.name }, row.name));
  for (const name of ["a", "b"]) find(`[data-control="${name}"]`, view.section)?.replaceChildren(...options(able));
  const confused = view.data.rows.filter((row, k) => view.data.confusions[k]);
  find('[data-control="model"]', view.section)?.replaceChildren(...options(confused));
}

function comparedRows(view) {
  const able = view.data.rows.filter((row) => row.points.length);
  const named = (name, otherwise) => able.find((row) => row.name === state.get(name)) ?? otherwise;
  const first = named("a", able[0]);
  const second = named("b", able.find((row) => row !== first));
  return [first, second];
}

function showComparison(view) {
  const place = find('[data-part="compare"]', view.section);
  if (!place) return;
  const [first, second] = comparedRows(view);
  if (!first || !second || first === second) {
    place.replaceChildren(element("p", { class: "note" }, second ? "Choose two different models." : "There is only one model with a result."));
    return;
  }
  find('[data-control="a"]', view.section).value = first.name;
  find('[data-control="b"]', view.section).value = second.name;
  place.replaceChildren(
    element(
      "div",
      { class: "split wide" },
      element("div", null, bySize(view, first, second), byClass(view, first, second)),
      figuresTable(view, first, second),
    ),
    ...disagreements(view, first, second),
  );
}

function figuresTable(view, first, second) {
  const skipped = ["model", "notes"];
  const lines = view.data.columns.flatMap((column, k) =>
    skipped.includes(column.key) ? [] : [[column.label, first.texts[k], second.texts[k]]]);
  return plainTable("Figures", ["Figure", first.name, second.name], lines, [1, 2]);
}

function bySize(view, first, second) {
  const [a, b] = [first, second].map((row) => view.data.rows.indexOf(row));
  const pairs = view.data.sizes.map((size) => [size, pairOf(view, a, b, size)]);
  const reach = Math.max(0.01, ...pairs.flatMap(([, pair]) => (pair ? [Math.abs(pair.low), Math.abs(pair.high)] : [])));
  const lines = pairs.map(([size, pair]) => [grouped(size), ...sizeCells(pair, first, second, size, reach)]);
  const caption = `${first.name} minus ${second.name}, points of top-1 accuracy, paired, by training images n`;
  const headers = ["n", "Difference [95 %]", hidden("The same as a picture"), "Told apart?", "p (Holm)"];
  return plainTable(caption, headers, lines, [0, 1, 4]);
}

function sizeCells(pair, first, second, size, reach) {
  if (!pair) {
    const [a, b] = [first, second].map((row) => row.points.find((point) => point[0] === size)?.[1]);
    if (a === undefined || b === undefined) return [NOTHING, "", "no result", NOTHING];
    return [signed(a - b), differencePicture(a - b, null, null, reach), "see pairs.csv", NOTHING];
  }
  const ahead = pair.difference > 0 ? first.name : second.name;
  return [
    `${signed(pair.difference)} [${signed(pair.low)}, ${signed(pair.high)}]`,
    differencePicture(pair.difference, pair.low, pair.high, reach),
    pair.apart ? `${ahead} is ahead` : "no",
    pValue(pair.p),
  ];
}

// Answers to single images, unpacked when first asked for: null where a row has none.
function answersOf(view, row) {
  const packed = view.data.answers;
  const found = packed?.rows[view.data.rows.indexOf(row)];
  if (!found) return null;
  view.images ??= { index: unpacked(packed.index, 32), label: unpacked(packed.label, packed.bits) };
  view.unpacked ??= new Map();
  if (!view.unpacked.has(row)) {
    view.unpacked.set(row, new Map(Object.entries(found).map(([seed, text]) => [seed, unpacked(text, packed.bits)])));
  }
  return view.unpacked.get(row);
}

// For each image the share of the common seeds in which only the first, and in which only the second, is right.
function discordance(view, first, second) {
  const [a, b] = [answersOf(view, first), answersOf(view, second)];
  if (!a || !b) return null;
  const seeds = [...a.keys()].filter((seed) => b.has(seed));
  if (!seeds.length) return null;
  const { label } = view.images;
  const [only, other] = [new Float64Array(label.length), new Float64Array(label.length)];
  for (const seed of seeds) {
    const [one, two] = [a.get(seed), b.get(seed)];
    for (let k = 0; k < label.length; k += 1) {
      const [right, rival] = [one[k] === label[k], two[k] === label[k]];
      if (right && !rival) only[k] += 1 / seeds.length;
      if (rival && !right) other[k] += 1 / seeds.length;
    }
  }
  return { only, other, seeds: seeds.length };
}

// Paired difference of two recalls with the adjusted Wald interval of Bonett and Price (2012, JEBS 37:479): one image
// is added to each kind of disagreement. Images are the units; seeds of an image are averaged before.
function pairedDifference(only, other, images) {
  const [p, q, n] = [(only + 1) / (images + 2), (other + 1) / (images + 2), images + 2];
  const half = 1.959964 * Math.sqrt((p + q - (p - q) ** 2) / n);
  return { difference: (only - other) / images, low: Math.max(-1, p - q - half), high: Math.min(1, p - q + half) };
}

function classDifferences(view, first, second) {
  const found = discordance(view, first, second);
  if (!found) return null;
  const sums = view.data.classes.map(() => ({ only: 0, other: 0, images: 0 }));
  view.images.label.forEach((label, k) => {
    const sum = sums[label];
    sum.only += found.only[k];
    sum.other += found.other[k];
    sum.images += 1;
  });
  return sums.flatMap((sum, k) =>
    (sum.images ? [{ name: view.data.classes[k], images: sum.images, ...pairedDifference(sum.only, sum.other, sum.images) }] : []));
}

function byClass(view, first, second) {
  const every = classDifferences(view, first, second);
  if (!every) {
    return [element("p", { class: "note" }, "There are no answers to single images of these two on this page, so classes are not compared.")];
  }
  const sorted = every.sort((x, y) => y.difference - x.difference);
  const cut = sorted.length > MOST_CLASSES;
  const listed = cut ? [...sorted.slice(0, MOST_CLASSES / 2), ...sorted.slice(-MOST_CLASSES / 2)] : sorted;
  const reach = Math.max(0.01, ...listed.flatMap((line) => [Math.abs(line.low), Math.abs(line.high)]));
  const lines = listed.map((line) => [
    line.name,
    `${signed(line.difference)} [${signed(line.low)}, ${signed(line.high)}]`,
    differencePicture(line.difference, line.low, line.high, reach),
    grouped(line.images),
  ]);
  const which = cut ? `, the ${MOST_CLASSES} classes that differ most` : "";
  const caption = `${first.name} minus ${second.name}, points of recall, paired, by class${which}`;
  return [
    plainTable(caption, ["Class", "Difference [95 %]", hidden("The same as a picture"), "Test images"], lines, [1, 3]),
    element("p", { class: "note" }, `At ${grouped(view.data.sizes.at(-1))} training images. Intervals cover only which test images there are, and are not adjusted for there being ${grouped(every.length)} classes: one class in twenty looks different by chance.`),
  ];
}

function disagreements(view, first, second) {
  const found = discordance(view, first, second);
  if (!found) return [];
  const parts = [[first, second, found.only], [second, first, found.other]].map(([winner, loser, share]) => {
    const at = [...share.keys()].filter((k) => share[k] > 1 - 1e-9);
    return element(
      "div",
      null,
      element("h4", null, `Right: ${winner.name}. Wrong: ${loser.name}.`),
      gallery(view, at, loser, `${grouped(at.length)} ${at.length === 1 ? "image" : "images"}${found.seeds > 1 ? `, so with each of ${found.seeds} seeds` : ""}`),
    );
  });
  return [element("h4", null, "Where the two disagree"), element("div", { class: "split" }, parts)];
}

// Test images with what a row takes them for; those without a thumbnail are named by their number.
function gallery(view, positions, row, told) {
  const known = (k) => view.data.images[view.images.index[k]];
  const shown = [...positions].sort((a, b) => Number(Boolean(known(b))) - Number(Boolean(known(a))) || a - b).slice(0, MOST_IMAGES);
  const more = positions.length > shown.length ? `; ${shown.length} of them here` : "";
  return element(
    "figure",
    { class: "gallery" },
    element("figcaption", null, `${told}${more}.`),
    element("ul", null, shown.map((k) => element("li", null, imageCard(view, k, row)))),
  );
}

function imageCard(view, k, row) {
  const { index, label } = view.images;
  const named = [...new Set([...answersOf(view, row).values()].map((answers) => view.data.classes[answers[k]]))];
  const truth = view.data.classes[label[k]];
  const png = view.data.images[index[k]];
  const told = `test image ${index[k]}: ${truth}, taken for ${named.join(" or ")}`;
  const picture = png
    ? element("img", { src: `data:image/png;base64,${png}`, alt: told, title: told })
    : element("span", { class: "no-image", title: told }, `#${index[k]}`);
  return [picture, element("span", { class: "answer" }, `${truth} → ${named.join(", ")}`)];
}
