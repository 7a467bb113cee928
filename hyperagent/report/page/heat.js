// Tasks down, variants across: which task is solved by whom.

const heat = { set: 0, order: "step", row: 0, columns: [], rows: [] };
const SIGNS = { "!": "no answer that counts", "?": "lost, not scored", ".": "not run" };

function sign(set, i, task) {
  return set.rows[i][task] || ".";
}

function shareOf(character) {
  return (character.charCodeAt(0) - 97) / 10;
}

function says(character) {
  return SIGNS[character] ?? `score ${shareOf(character).toFixed(1)}`;
}

// A colour of the style sheet, of the theme that shows now, as numbers.
function tint(kind) {
  const shown = heat.keys.find((one) => one.firstChild.classList.contains(kind)).firstChild;
  return getComputedStyle(shown).backgroundColor.match(/\d+/g).slice(0, 3).map(Number);
}

function paintHeat() {
  const set = page.data.sets[heat.set];
  if (!set) return;
  heat.columns = page.nodes.filter((one) => set.rows[one.i]).map((one) => one.i);
  if (heat.order === "score") heat.columns.sort((a, b) => (page.nodes[a].score ?? -1) - (page.nodes[b].score ?? -1) || a - b);
  const solved = set.tasks.map((_, task) => {
    let sum = 0, many = 0;
    for (const i of heat.columns) {
      const character = sign(set, i, task);
      if (character >= "a") sum += shareOf(character);
      if (character !== "." && character !== "?") many++;
    }
    return many ? sum / many : -1;
  });
  heat.rows = set.tasks.map((_, task) => task).sort((a, b) => solved[b] - solved[a] || a - b);
  heat.solved = solved;
  const [wrong, right, broken, lost, none] = ["wrong", "solved", "broken", "lost", "none"].map(tint);
  const between = (share) => wrong.map((value, k) => Math.round(value + (right[k] - value) * share));
  const width = heat.columns.length, height = heat.rows.length, image = new ImageData(Math.max(1, width), Math.max(1, height));
  heat.columns.forEach((i, x) => heat.rows.forEach((task, y) => {
    const character = sign(set, i, task), colour = character === "." ? none : character === "!" ? broken : character === "?" ? lost : between(shareOf(character));
    image.data.set([...colour, 255], 4 * (y * width + x));
  }));
  heat.canvas.width = Math.max(1, width);
  heat.canvas.height = Math.max(1, height);
  heat.canvas.getContext("2d").putImageData(image, 0, 0);
  heat.canvas.style.height = `${Math.max(60, Math.min(420, height * 6))}px`;
  markHeat();
}

function markHeat() {
  const at = heat.columns.indexOf(page.selected), wide = heat.canvas.clientWidth / Math.max(1, heat.columns.length);
  heat.mark.hidden = at < 0;
  heat.mark.style.left = `${at * wide - 2}px`;
  heat.mark.style.width = `${Math.max(4, wide + 4)}px`;
  tellHeat(page.selected);
}

function tellHeat(i) {
  const set = page.data.sets[heat.set], task = heat.rows[heat.row];
  if (!set || task === undefined || !page.nodes[i]) return;
  heat.readout.textContent = `step ${page.nodes[i].step}, task ${set.tasks[task]}: ${says(sign(set, i, task))}; solved by ${heat.solved[task] < 0 ? "none" : Math.round(100 * heat.solved[task]) + "%"} of the variants`;
}

function heatAt(event) {
  const box = heat.canvas.getBoundingClientRect();
  heat.row = Math.max(0, Math.min(heat.rows.length - 1, Math.floor(((event.clientY - box.top) / box.height) * heat.rows.length)));
  return heat.columns[Math.max(0, Math.min(heat.columns.length - 1, Math.floor(((event.clientX - box.left) / box.width) * heat.columns.length)))];
}

function heatKey(event) {
  const at = heat.columns.indexOf(page.selected), column = (step) => select(heat.columns[Math.max(0, Math.min(heat.columns.length - 1, at + step))]);
  const row = (step) => {
    heat.row = Math.max(0, Math.min(heat.rows.length - 1, heat.row + step));
    tellHeat(page.selected);
  };
  const keys = { ArrowLeft: () => column(-1), ArrowRight: () => column(1), ArrowUp: () => row(-1), ArrowDown: () => row(1) };
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
}

function heatSection() {
  heat.canvas = el("canvas", { tabindex: 0, role: "img", "aria-label": "tasks by variants; arrow keys move", keydown: heatKey,
    click: (event) => { const i = heatAt(event); select(i); }, pointermove: (event) => tellHeat(heatAt(event)) });
  heat.mark = el("div", { class: "mark", hidden: true });
  heat.readout = el("p", { class: "readout", role: "status" }, "Point at a cell, or click one.");
  const sets = el("select", { id: "heat-set", "aria-label": "benchmark and split", change: () => { heat.set = Number(sets.value); paintHeat(); } },
    page.data.sets.map((one, k) => el("option", { value: k, selected: k === heat.set }, `${one.benchmark}: ${one.split}`)));
  const order = el("select", { "aria-label": "order of variants", change: () => { heat.order = order.value; paintHeat(); } },
    [["step", "by step"], ["score", "by score"]].map(([value, text]) => el("option", { value, selected: value === heat.order }, text)));
  heat.keys = [["wrong", "wrong"], ["solved", "solved"], ["broken", "no answer that counts"], ["lost", "lost"], ["none", "not run"]].map(([kind, text]) =>
    el("span", null, el("span", { class: `key square ${kind}` }), text));
  return section("Tasks by variants", el("div", { class: "tools" }, sets, order), el("div", { class: "view heat" }, heat.canvas, heat.mark), heat.readout,
    el("div", { class: "legend" }, heat.keys, el("span", null, "rows: tasks, the easiest on top")));
}
