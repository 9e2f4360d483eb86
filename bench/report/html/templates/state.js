// What is shown, as the part of the address behind `#`, so that a view can be shared or kept as a bookmark.

const SINGLE = [
  "board", "preset", "q", "params_from", "params_to", "latency_from", "latency_to", "sort", "page",
  "axis", "bars", "a", "b", "model", "cell",
];
const LISTS = ["family", "open"];

const state = {
  one: {},
  many: {},

  read() {
    const found = new URLSearchParams(location.hash.slice(1));
    this.one = Object.fromEntries(SINGLE.filter((name) => found.get(name)).map((name) => [name, found.get(name)]));
    this.many = Object.fromEntries(LISTS.map((name) => [name, found.getAll(name)]));
  },

  get(name) {
    return this.one[name] ?? "";
  },

  list(name) {
    return this.many[name] ?? [];
  },

  // Takes `{name: text or list}`; an empty text or list removes the name.
  set(changes) {
    for (const [name, value] of Object.entries(changes)) {
      if (Array.isArray(value)) this.many[name] = value;
      else if (value === "" || value === null || value === undefined) delete this.one[name];
      else this.one[name] = String(value);
    }
    this.write();
  },

  write() {
    const parts = new URLSearchParams();
    for (const name of SINGLE) if (this.one[name]) parts.set(name, this.one[name]);
    for (const name of LISTS) for (const value of this.list(name)) parts.append(name, value);
    const text = parts.toString();
    if (text !== location.hash.slice(1)) history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  },
};
