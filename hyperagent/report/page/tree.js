// The lineage as a picture: a tidy tree, generations from left to right.

const DX = 108, DY = 24, KEPT = 40, MANY = 160;
const tree = { shown: [], fold: new Map(), colour: "score", query: "", hits: new Set(), zoom: 1, x: 0, y: 0, kept: new Set() };

// Folds: "all" children, "some" (those that lead to one of the best), "none".
function foldOf(node) {
  return tree.fold.get(node.id) ?? (tree.unfolded || page.nodes.length <= MANY ? "all" : "some");
}

function childrenOf(node) {
  const fold = foldOf(node);
  return fold === "all" ? node.children : fold === "none" ? [] : node.children.filter((i) => tree.kept.has(i));
}

function keepBest() {
  const scored = page.nodes.filter((one) => one.status === "evaluated" && one.score !== null);
  scored.sort((a, b) => b.score - a.score || a.step - b.step);
  tree.kept = new Set([0, ...scored.slice(0, KEPT).flatMap((one) => ancestors(one.i))]);
}

// Leaves take the next row, a parent stands in the middle of its children. Without recursion: lineages are deep.
function layOut() {
  const shown = [], stack = page.nodes.filter((one) => one.parent < 0).reverse().map((one) => one.i);
  let row = 0;
  while (stack.length) {
    const node = page.nodes[stack.pop()];
    shown.push(node);
    const below = childrenOf(node);
    node.hidden = node.children.length - below.length;
    if (!below.length) node.row = row++;
    for (let k = below.length - 1; k >= 0; k--) stack.push(below[k]);
  }
  for (let k = shown.length - 1; k >= 0; k--) {
    const below = childrenOf(shown[k]);
    if (below.length) shown[k].row = (page.nodes[below[0]].row + page.nodes[below[below.length - 1]].row) / 2;
  }
  tree.shown = shown;
  tree.rows = Math.max(1, row);
  tree.deep = shown.reduce((most, one) => Math.max(most, one.generation), 0);
}

function scales() {
  const width = tree.svg.clientWidth || 800, height = tree.height;
  const fitX = Math.min(DX * 1.7, (width - 110) / Math.max(1, tree.deep)), fitY = Math.min(DY * 1.6, (height - 36) / Math.max(1, tree.rows - 1));
  return { x: fitX * tree.zoom, y: fitY * tree.zoom };
}

const COLOURS = {
  score: (node) => node.score,
  generation: (node) => node.generation,
  tokens: (node) => node.tokens,
  cost: (node) => node.cost,
};

function colouring() {
  const one = page.data.sets[Number(tree.colour)];
  const of = COLOURS[tree.colour] || ((node) => (one && one.scores[node.i] ? one.scores[node.i][0] : null));
  let low = Infinity, high = -Infinity;
  for (const node of page.nodes) {
    const value = of(node);
    if (value !== null && ["evaluated", "screened_out", "raced_out"].includes(node.status)) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  return { of, low, high, share: (value) => (high > low ? (value - low) / (high - low) : 1) };
}

function drawTree() {
  const colour = colouring(), k = scales(), best = page.data.best, path = new Set(best === null ? [] : ancestors(best));
  const labels = k.y >= 13, wordy = k.x >= 74, lines = { path: [], plain: [] }, dots = [], texts = [];
  for (const node of tree.shown) {
    node.px = 14 + node.generation * k.x;
    node.py = 18 + node.row * k.y;
  }
  for (const node of tree.shown) {
    if (node.parent >= 0) {
      const from = page.nodes[node.parent], middle = (from.px + node.px) / 2;
      const line = `M${from.px.toFixed(1)} ${from.py.toFixed(1)}C${middle.toFixed(1)} ${from.py.toFixed(1)} ${middle.toFixed(1)} ${node.py.toFixed(1)} ${node.px.toFixed(1)} ${node.py.toFixed(1)}`;
      lines[path.has(node.i) ? "path" : "plain"].push(line);
    }
    const value = colour.of(node), scored = ["evaluated", "screened_out", "raced_out"].includes(node.status);
    const empty = !scored || value === null, tint = empty ? null : rgb(colour.share(value));
    const screened = node.status === "screened_out" || node.status === "raced_out";
    const kind = ["node", empty ? "empty" : "", screened ? "screened" : "", tree.query && !tree.hits.has(node.i) ? "faint" : "", tree.query && tree.hits.has(node.i) ? "found" : ""];
    const dot = svg("circle", { class: kind.filter(Boolean).join(" "), cx: node.px.toFixed(1), cy: node.py.toFixed(1), r: empty ? 4 : 6.5, "data-i": node.i });
    if (tint) screened ? (dot.style.stroke = tint) : (dot.style.fill = tint);
    dots.push(dot);
    const inner = childrenOf(node).length > 0, more = node.hidden ? svg("tspan", { class: "more", dx: 5, "data-fold": node.i }, `+${node.hidden}`) : "";
    if (labels && (wordy || !inner || node.i === best)) {
      const x = node.px + (inner ? 5 : node.i === best ? 15 : 11), y = node.py + (node.i === best && inner ? -15 : inner ? -11 : 4);
      texts.push(svg("text", { class: "label", x, y, "data-i": node.i }, svg("tspan", { class: node.i === best ? "step top" : "step" }, node.step),
        node.score === null ? "" : svg("tspan", { class: "soft", dx: 5 }, node.score.toFixed(2)), more));
    } else if (more && (labels ? k.x >= 40 : !inner && tree.shown.length < 400)) {
      texts.push(svg("text", { x: node.px + (inner ? -8 : 5), y: node.py + (inner ? 19 : 4) }, more));
    }
  }
  const crown = best === null || page.nodes[best].px === undefined || !tree.shown.includes(page.nodes[best]) ? null
    : svg("circle", { class: "crown", cx: page.nodes[best].px, cy: page.nodes[best].py, r: 10 });
  empty(tree.group, svg("path", { class: "edge", d: lines.plain.join("") }), svg("path", { class: "edge path", d: lines.path.join("") }), dots, texts, crown, tree.ring);
  place();
  markTree(false);
  drawLegend(colour);
}

function markTree(follow) {
  const node = page.nodes[page.selected], seen = node && tree.shown.includes(node);
  tree.ring.setAttribute("r", seen ? 12.5 : 0);
  if (!seen) return;
  tree.ring.setAttribute("cx", node.px);
  tree.ring.setAttribute("cy", node.py);
  const width = tree.svg.clientWidth, x = node.px + tree.x, y = node.py + tree.y;
  if (follow && (x < 10 || y < 10 || x > width - 40 || y > tree.height - 10)) {
    tree.x = width / 2 - node.px;
    tree.y = tree.height / 2 - node.py;
    place();
  }
}

function place() {
  tree.group.setAttribute("transform", `translate(${tree.x.toFixed(1)} ${tree.y.toFixed(1)})`);
}

function fitTree() {
  Object.assign(tree, { zoom: 1, x: 0, y: 0 });
  drawTree();
}

function zoomTree(factor, atX, atY) {
  const before = tree.zoom;
  tree.zoom = Math.max(0.5, Math.min(400, tree.zoom * factor));
  const real = tree.zoom / before, x = atX ?? tree.svg.clientWidth / 2, y = atY ?? tree.height / 2;
  tree.x = x - 14 - (x - 14 - tree.x) * real;
  tree.y = y - 18 - (y - 18 - tree.y) * real;
  drawTree();
}

function foldTree(i) {
  const node = page.nodes[i];
  if (!node || !node.children.length) return;
  const some = node.children.some((child) => tree.kept.has(child)) && !node.children.every((child) => tree.kept.has(child));
  const next = { none: some ? "some" : "all", some: "all", all: "none" };
  tree.fold.set(node.id, next[foldOf(node)]);
  redrawTree();
}

// Everything above a variant is unfolded as far as it takes to see it.
function reveal(i) {
  for (let at = i; at > 0 && page.nodes[at].parent >= 0; at = page.nodes[at].parent) {
    const parent = page.nodes[page.nodes[at].parent];
    if (!childrenOf(parent).includes(at)) tree.fold.set(parent.id, foldOf(parent) === "none" && tree.kept.has(at) ? "some" : "all");
  }
}

function redrawTree() {
  layOut();
  drawTree();
}

function search(text) {
  tree.query = text.trim().toLowerCase();
  const hit = (one) => String(one.step) === tree.query || one.id.startsWith(tree.query) || `${words(one.status)} ${one.words}`.toLowerCase().includes(tree.query);
  tree.hits = new Set(tree.query ? page.nodes.filter(hit).map((one) => one.i) : []);
  tree.count.textContent = tree.query ? `${whole(tree.hits.size)} found` : "";
  drawTree();
}

function nextHit() {
  const hits = [...tree.hits].sort((a, b) => a - b);
  if (!hits.length) return;
  const next = hits.find((i) => i > page.selected) ?? hits[0];
  select(next, true);
}

function drawLegend(colour) {
  const bar = el("canvas", { width: 120, height: 1, "aria-hidden": "true" }), context = bar.getContext("2d");
  for (let x = 0; x < 120; x++) {
    context.fillStyle = rgb(x / 119);
    context.fillRect(x, 0, 1, 1);
  }
  const show = (value) => (tree.colour === "cost" ? dollars(value) : tree.colour === "tokens" || tree.colour === "generation" ? brief(value) : value.toFixed(2));
  empty(tree.legend,
    Number.isFinite(colour.low) ? el("span", null, show(colour.low), " ", bar, " ", show(colour.high)) : "",
    el("span", null, "orange line: the way to the best"), el("span", null, "ring: screened out"), el("span", null, "small grey: no effect, duplicate, invalid"),
    el("span", null, `${whole(tree.shown.length)} of ${whole(page.nodes.length)} shown`));
}

function treeKey(event) {
  const node = page.nodes[page.selected] ?? page.nodes[0], at = tree.shown.indexOf(node);
  const row = (step) => {
    const order = [...tree.shown].sort((a, b) => a.row - b.row || a.generation - b.generation);
    return order[order.indexOf(node) + step]?.i ?? page.selected;
  };
  const keys = {
    ArrowLeft: () => select(node.parent, true),
    ArrowRight: () => {
      if (!childrenOf(node).length) foldTree(node.i);
      if (childrenOf(node).length) select(childrenOf(node)[0], true);
    },
    ArrowUp: () => select(at < 0 ? 0 : row(-1), true),
    ArrowDown: () => select(at < 0 ? 0 : row(1), true),
    Home: () => select(0, true),
    End: () => select(page.nodes.length - 1, true),
    b: () => page.data.best !== null && select(page.data.best, true),
    Enter: () => foldTree(node.i),
    " ": () => foldTree(node.i),
    "+": () => zoomTree(1.4), "=": () => zoomTree(1.4), "-": () => zoomTree(1 / 1.4), 0: fitTree,
  };
  if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  keys[event.key]();
}

function treeMouse() {
  let from = null, moved = false;
  tree.svg.addEventListener("pointerdown", (event) => {
    from = { x: event.clientX - tree.x, y: event.clientY - tree.y, startX: event.clientX, startY: event.clientY };
    moved = false;
  });
  tree.svg.addEventListener("pointermove", (event) => {
    if (!from || !event.buttons) return;
    if (!moved && Math.hypot(event.clientX - from.startX, event.clientY - from.startY) < 4) return;
    if (!moved) tree.svg.setPointerCapture(event.pointerId);
    moved = true;
    Object.assign(tree, { x: event.clientX - from.x, y: event.clientY - from.y });
    place();
  });
  tree.svg.addEventListener("click", (event) => {
    from = null;
    const { i, fold } = event.target.dataset;
    if (moved || (i === undefined && fold === undefined)) return;
    fold === undefined ? select(Number(i)) : foldTree(Number(fold));
  });
  tree.svg.addEventListener("dblclick", (event) => event.target.dataset.i !== undefined && foldTree(Number(event.target.dataset.i)));
  tree.svg.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && document.activeElement !== tree.svg) return; // a page that scrolls past must not zoom
    event.preventDefault();
    const box = tree.svg.getBoundingClientRect();
    zoomTree(event.deltaY < 0 ? 1.2 : 1 / 1.2, event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
}

function treeSection() {
  const button = (text, label, act) => el("button", { type: "button", "aria-label": label, title: label, click: act }, text);
  tree.svg = svg("svg", { tabindex: 0, role: "application", "aria-label": "lineage tree; arrow keys walk, Enter folds, plus and minus zoom", keydown: treeKey });
  tree.group = svg("g");
  tree.ring = svg("circle", { class: "ring", r: 0 });
  tree.svg.append(tree.group);
  tree.legend = el("div", { class: "legend" });
  tree.count = el("span", { class: "soft", role: "status" });
  tree.colours = el("select", { id: "colour", "aria-label": "colour by", change: () => { tree.colour = tree.colours.value; drawTree(); } });
  const box = el("input", { type: "search", id: "search", placeholder: "search: step, id, words", "aria-label": "search variants",
    input: () => search(box.value), keydown: (event) => event.key === "Enter" && nextHit() });
  treeMouse();
  onSelect((focus) => {
    if (focus && !tree.shown.includes(page.nodes[page.selected])) {
      reveal(page.selected);
      redrawTree();
    }
    markTree(focus);
  });
  return section("Lineage",
    el("div", { class: "tools" }, el("label", { class: "soft", for: "colour" }, "colour by"), tree.colours, box, tree.count, el("span", { class: "grow" }),
      button("−", "zoom out", () => zoomTree(1 / 1.4)), button("+", "zoom in", () => zoomTree(1.4)), button("fit", "fit the window", fitTree),
      button("best only", "fold all but the best branches", () => { tree.fold = new Map(page.nodes.map((one) => [one.id, "some"])); redrawTree(); fitTree(); }),
      button("unfold all", "show every variant", () => { tree.fold.clear(); tree.unfolded = true; redrawTree(); fitTree(); })),
    el("div", { class: "view tree" }, tree.svg), tree.legend,
    el("p", { class: "hint keys" }, "Click a variant for its change and results; +n or a double click folds; drag to move, Ctrl and wheel to zoom. Keys: arrows, Enter, + − 0, Home, End, b = best, / = search."));
}

function updateTree() {
  const options = [["score", "score"], ["generation", "generation"], ["tokens", "tokens"], ...(page.nodes.some((one) => one.cost > 0) ? [["cost", "cost"]] : []),
    ...page.data.sets.map((one, k) => [String(k), `${one.benchmark}: ${one.split}`])];
  if (!options.some(([value]) => value === tree.colour)) tree.colour = "score";
  empty(tree.colours, options.map(([value, text]) => el("option", { value, selected: value === tree.colour }, text)));
  keepBest();
  layOut();
  tree.height = Math.max(220, Math.min(560, 40 + tree.rows * DY * 1.2, innerHeight * 0.7));
  tree.svg.setAttribute("height", tree.height);
  drawTree();
}
