// What a row unfolds to: its notes, what it is, every run, and the environment and command behind them.

function details(view, row) {
  const used = [...new Set(row.runs.map((run) => run[6]))].sort((a, b) => a - b);
  const parts = [
    row.notes.length ? element("ul", { class: "notes" }, row.notes.map(([, long]) => element("li", null, long))) : null,
    element("div", { class: "actions" }, actions(view, row)),
    row.about.length ? facts(row.about) : null,
    row.points.length ? sizesTable(row) : null,
    row.runs.length ? runsTable(row, used) : null,
    row.failed.length ? failedTable(row) : null,
    used.map((k) => environmentPart(view.data.environments[k], used.length > 1 ? k + 1 : null)),
    row.folder ? facts([["Records", `${row.folder}/`]]) : null,
  ];
  return element("div", { class: "unfolded", role: "group", "aria-label": `Details of ${row.name}` }, parts);
}

function actions(view, row) {
  const best = view.data.rows[0];
  const found = [];
  if (row !== best && row.top1 && best.top1) {
    found.push(button(`Compare with ${best.name}`, () => view.show({ a: row.name, b: best.name }, ".compare")));
  }
  if (view.data.confusions[view.data.rows.indexOf(row)]) {
    found.push(button("Show its confusions", () => view.show({ model: row.name, cell: "" }, ".confusions")));
  }
  return found;
}

function facts(pairs) {
  return element("dl", null, pairs.map(([label, text]) =>
    element("div", null, element("dt", null, label), element("dd", null, text))));
}

const METHODS = { wilson: "one seed: test-set uncertainty only", bootstrap: "seeds and test images", none: "predictions are missing" };

function sizesTable(row) {
  const seeds = (size) => String(row.runs.filter((run) => run[0] === size).length);
  const lines = row.points.map(([size, value, low, high, method]) =>
    [grouped(size), withInterval([value, low, high]), seeds(size), METHODS[method]]);
  return plainTable("Accuracy by train size", ["Training images", "Top-1 % [95 %]", "Seeds", "The interval covers"], lines, [0, 1, 2]);
}

function runsTable(row, used) {
  const several = used.length > 1;
  const lines = row.runs.map(([size, seed, top1, rate, speed, seconds, where]) => [
    grouped(size), String(seed), percent(top1), rate === null ? NOTHING : String(rate),
    speed === null ? NOTHING : grouped(speed), seconds === null ? NOTHING : grouped(seconds),
    ...(several ? [String(where + 1)] : []),
  ]);
  const headers = ["Training images", "Seed", "Top-1 %", "Learning rate", "Train img/s", "Train s", ...(several ? ["Environment"] : [])];
  return plainTable("Runs", headers, lines, [0, 1, 2, 3, 4, 5, 6]);
}

function failedTable(row) {
  const lines = row.failed.map(([size, seed, why]) => [grouped(size), String(seed), why]);
  return plainTable("Failed runs", ["Training images", "Seed", "Why"], lines, [0, 1]);
}

function environmentPart(found, number) {
  const label = number === null ? "Environment" : `Environment ${number}`;
  const copy = button("Copy", () => copyText(found.command, copy), { class: "copy", "aria-label": "Copy the command" });
  return element(
    "div",
    { class: "environment" },
    facts([[label, found.machine], ["Software", found.software]]),
    found.command ? element("p", { class: "made-by" }, element("code", { class: "command" }, found.command), copy) : null,
  );
}
