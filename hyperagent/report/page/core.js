"use strict";
// What all parts share: elements made without markup, the page's state, small formats.
// Text from the data goes through textContent and attributes only, so it is never read as HTML.

const page = { data: null, selected: -1, listeners: [], nodes: [] };

function el(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function svg(tag, attributes, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== "") node.append(child);
  }
  return node;
}

function empty(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

const number = (value) => (value === null || value === undefined ? "–" : value.toFixed(3));
const whole = (value) => Math.round(value).toLocaleString("en-US");
const brief = (value) =>
  value >= 1e9 ? (value / 1e9).toFixed(1) + "G" : value >= 1e6 ? (value / 1e6).toFixed(1) + "M"
    : value >= 1e4 ? Math.round(value / 1e3) + "k" : whole(value);
const dollars = (value) => "$" + (value >= 1 || value === 0 ? value.toFixed(2) : value.toPrecision(2));
const span = (low, high) => (low === null || low === undefined ? "" : `[${low.toFixed(2)}–${high.toFixed(2)}]`);
const probability = (p) => (p < 0.001 ? p.toExponential(1) : p.toPrecision(2));
const moment = (unix) => new Date(unix * 1000).toISOString().replace("T", " ").slice(0, 16) + "Z";
const words = (status) => status.replaceAll("_", " ");
const short = (id) => id.slice(0, 8);

function duration(seconds) {
  const s = Math.round(seconds);
  return s < 60 ? `${s}s` : s < 3600 ? `${Math.floor(s / 60)}m ${s % 60}s` : `${Math.floor(s / 3600)}h ${Math.floor((s % 3600) / 60)}m`;
}

// One object per variant, with its children; the data comes in columns.
function unpack(data) {
  const columns = data.variants;
  const nodes = (columns.id ?? []).map((_, i) => {
    const node = { i, children: [] };
    for (const name of Object.keys(columns)) node[name] = columns[name][i];
    return node;
  });
  for (const node of nodes) if (node.parent >= 0) nodes[node.parent].children.push(node.i);
  return nodes;
}

function ancestors(i) {
  const found = [];
  for (let at = i; at >= 0 && at !== undefined; at = page.nodes[at].parent) found.push(at);
  return found;
}

// Lower is darker in light and lighter in dark: the eye finds the high end in both.
const STOPS = [[68, 57, 140], [38, 108, 160], [22, 150, 136], [118, 190, 84], [240, 202, 40]];

function ramp(share) {
  const at = Math.max(0, Math.min(1, share)) * (STOPS.length - 1);
  const from = STOPS[Math.floor(at)], to = STOPS[Math.min(STOPS.length - 1, Math.floor(at) + 1)];
  return from.map((value, k) => Math.round(value + (to[k] - value) * (at - Math.floor(at))));
}

const rgb = (share) => `rgb(${ramp(share).join(",")})`;

function select(i, focus) {
  if (i < 0 || i >= page.nodes.length) return;
  page.selected = i;
  history.replaceState(null, "", `#step=${page.nodes[i].step}`);
  for (const listener of page.listeners) listener(focus === true);
}

function onSelect(listener) {
  page.listeners.push(listener);
}

function link(i, text) {
  return el("button", { class: "plain", type: "button", click: () => select(i, true) }, text ?? `step ${page.nodes[i].step}`);
}

function table(headers, rows) {
  const right = (header) => (header.startsWith(">") ? "r" : null);
  return el("div", { class: "wide" }, el("table", null,
    el("thead", null, el("tr", null, headers.map((one) => el("th", { class: right(one), scope: "col" }, one.replace(">", ""))))),
    el("tbody", null, rows.map((row) => el("tr", null, row.map((cell, k) => el("td", { class: right(headers[k]) }, cell)))))));
}

function section(title, ...children) {
  return el("section", { "aria-label": title }, el("h2", null, title), ...children);
}
