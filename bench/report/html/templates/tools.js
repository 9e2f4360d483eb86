// Small things that all parts of the page use. Text from the data only ever becomes text nodes, never markup.

const NOTHING = "–";
const find = (selector, root = document) => root.querySelector(selector);
const findAll = (selector, root = document) => [...root.querySelectorAll(selector)];

function made(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "click") node.addEventListener("click", value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

const element = (tag, attributes, ...children) => made(document.createElement(tag), attributes, children);
const drawing = (tag, attributes, ...children) =>
  made(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

// One decimal, a tie going to the even digit as in the rest of the report; of ties only quarters occur in floats, and
// only a quarter is rounded otherwise by toFixed.
const oneDecimal = (x) => (x % 1 === 0.25 ? x - 0.05 : x).toFixed(1);
const percent = (fraction) => (fraction === null || fraction === undefined ? NOTHING : oneDecimal(100 * fraction));
const signed = (fraction) => `${fraction < 0 ? "−" : "+"}${oneDecimal(Math.abs(100 * fraction))}`;
const grouped = (count) => count.toLocaleString("en-US");
const pValue = (p) => (p < 0.001 ? "< 0.001" : p.toFixed(p < 0.1 ? 3 : 2));

function withInterval(point) {
  if (!point) return NOTHING;
  const [value, low, high] = point;
  return `${percent(value)} [${low === null ? "unknown" : `${percent(low)}, ${percent(high)}`}]`;
}

// An accuracy with its interval on the scale of the board, as a small picture beside the number that says the same.
function intervalPicture(point, [low, high]) {
  if (!point) return null;
  const scale = high > low ? 100 / (high - low) : 0;
  const start = ((point[1] ?? point[0]) - low) * scale;
  const end = ((point[2] ?? point[0]) - low) * scale;
  return drawing(
    "svg",
    { class: "interval", viewBox: "-3 0 106 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    drawing("rect", { x: start, y: 3.5, width: Math.max(end - start, 0.5), height: 3 }),
    drawing("circle", { cx: (point[0] - low) * scale, cy: 5, r: 2.6 }),
  );
}

// A difference with its interval about a zero line; `reach` is the largest absolute value of the scale.
function differencePicture(value, low, high, reach) {
  const at = (x) => 50 + (48 * Math.max(-reach, Math.min(reach, x))) / (reach || 1);
  return drawing(
    "svg",
    { class: "difference", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    drawing("line", { x1: 50, x2: 50, y1: 0, y2: 10 }),
    low === null ? null : drawing("rect", { x: at(low), y: 3.5, width: Math.max(at(high) - at(low), 0.5), height: 3 }),
    drawing("circle", { cx: at(value), cy: 5, r: 2.6 }),
  );
}

// A table; cells are texts or nodes, and the first cell of a line is its header. `numeric` columns align to the right.
function plainTable(caption, headers, lines, numeric = []) {
  const side = (k) => (numeric.includes(k) ? "number" : null);
  return element(
    "div",
    { class: "scroll", role: "region", "aria-label": caption, tabindex: 0 },
    element(
      "table",
      { class: "small" },
      element("caption", null, element("span", null, caption)),
      element("thead", null, element("tr", null, headers.map((text, k) => element("th", { scope: "col", class: side(k) }, text)))),
      element(
        "tbody",
        null,
        lines.map((line) =>
          element("tr", null, line.map((cell, k) =>
            element(k ? "td" : "th", { class: side(k), scope: k ? null : "row" }, cell)))),
      ),
    ),
  );
}

// Words that only screen readers need.
const hidden = (text) => element("span", { class: "unseen" }, text);

function button(label, action, attributes = {}) {
  return element("button", { type: "button", click: action, ...attributes }, label);
}

// Tells screen readers what a choice has changed further down.
function say(view, text) {
  const place = find('[data-part="said"]', view.section);
  if (place && place.textContent !== text) place.textContent = text;
}

function later(action, wait) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...values), wait);
  };
}

// Numbers packed as base64, little-endian, of 8, 16 or 32 bits.
function unpacked(text, bits) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return bits === 8 ? bytes : new (bits === 16 ? Uint16Array : Uint32Array)(bytes.buffer);
}

function download(name, kind, text) {
  const url = URL.createObjectURL(new Blob([text], { type: kind }));
  const link = element("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

async function copyText(text, trigger) {
  const before = trigger.textContent;
  let told = "Copied";
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    told = "Copying is not allowed here";
  }
  trigger.textContent = told;
  setTimeout(() => { trigger.textContent = before; }, 1500);
}
