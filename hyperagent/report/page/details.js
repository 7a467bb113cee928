// Everything about the chosen variant.

function flips(set, a, b) {
  const won = [], lost = [];
  set.tasks.forEach((task, k) => {
    const [before, after] = [sign(set, a, k), sign(set, b, k)].map((one) => (one === "!" ? "a" : one));
    if (before < "a" || after < "a" || before === after) return;
    (after > before ? won : lost).push(task);
  });
  return { won, lost };
}

function taskList(title, tasks, kind) {
  if (!tasks.length) return null;
  return el("details", null, el("summary", { class: kind }, `${title} ${whole(tasks.length)}`),
    el("ul", { class: "tasks" }, tasks.slice(0, 200).map((task) => el("li", null, task)), tasks.length > 200 ? el("li", null, `and ${whole(tasks.length - 200)} more`) : ""));
}

function diffView(node) {
  const text = page.data.diffs[node.i];
  if (text === undefined) return node.parent < 0 ? null : el("p", { class: "soft" }, "It has no program of its own.");
  if (text === "") return el("p", { class: "soft" }, page.data.diffs[node.i] === "" && node.status === "duplicate" ? "No change." : "Too long for this page: ", el("code", null, `hyperagent diff ${short(node.id)}`));
  const kinds = { "+": "plus", "-": "minus", "@": "hunk" };
  const lines = text.split("\n").filter((line) => !/^(diff --git|index |--- |new file mode)/.test(line));
  return el("pre", { tabindex: 0, "aria-label": "change against the parent" }, lines.map((line) =>
    line.startsWith("+++ ") ? el("div", { class: "hunk" }, line.slice(4).replace(/^b\//, "")) : el("div", { class: kinds[line[0]] ?? null }, line)));
}

function againstParent(node) {
  if (!node.against) return null;
  const [won, lost, tasks, p] = node.against, gain = node.score - page.nodes[node.parent].score;
  const mark = Math.abs(gain) < 1e-9 ? ["", "="] : gain > 0 ? ["up", "▲"] : ["down", "▼"];
  return el("p", null, el("span", { class: mark[0] || null }, `${mark[1]} ${gain >= 0 ? "+" : ""}${gain.toFixed(3)}`), ` against its parent: ${won} won, ${lost} lost of ${tasks} tasks`,
    p === null ? "" : `, p = ${probability(p)} (exact McNemar)`);
}

function notesOf(node) {
  const notes = page.data.notes.of[node.i];
  if (!notes) return null;
  const counts = new Map();
  for (const [set, task, text] of notes) {
    const seen = counts.get(text) ?? { many: 0, first: `${page.data.sets[set].split} ${page.data.sets[set].tasks[task]}` };
    counts.set(text, { ...seen, many: seen.many + 1 });
  }
  const rows = [...counts].sort((a, b) => b[1].many - a[1].many).slice(0, 12).map(([text, seen]) => [`${seen.many}×`, page.data.notes.texts[text] || "no reason given", seen.first]);
  return [el("h3", null, "Failures"), table([">", "reason", "first task"], rows)];
}

function showDetails(aside) {
  const node = page.nodes[page.selected];
  if (!node) return;
  const data = page.data, best = node.i === data.best, rows = [];
  for (const set of data.sets) {
    const score = set.scores[node.i];
    if (!score) continue;
    const change = node.parent >= 0 && set.rows[node.parent] ? flips(set, node.parent, node.i) : null;
    rows.push([`${set.benchmark}: ${set.split}`, [score[0].toFixed(3), " ", el("span", { class: "soft" }, span(score[1], score[2]))], change ? `+${change.won.length} −${change.lost.length}` : ""]);
  }
  const flipped = node.parent < 0 ? [] : data.sets.map((set) => ({ set, ...(set.rows[node.parent] && set.rows[node.i] ? flips(set, node.parent, node.i) : { won: [], lost: [] }) }));
  empty(aside,
    el("h2", null, `Step ${node.step} · ${short(node.id)}`, best ? " ★ best" : ""),
    el("p", null, el("span", { class: "badge" }, words(node.status)), " ", node.score === null ? "" : el("b", null, number(node.score)), " ", el("span", { class: "soft" }, span(node.low, node.high), node.n ? ` on ${node.n} validation tasks` : "")),
    againstParent(node),
    node.words ? el("p", { class: "says" }, node.words) : null,
    el("p", { class: "soft" }, node.parent < 0 ? "seed program" : ["parent ", link(node.parent), `, generation ${node.generation}`], node.seconds ? `, mutation ${duration(node.seconds)}` : "",
      `, ${brief(node.tokens)} tokens in ${whole(node.calls)} calls`, node.cost ? `, ${dollars(node.cost)}` : ""),
    node.children.length ? el("p", { class: "soft" }, "children ", node.children.slice(0, 24).flatMap((i) => [link(i, String(page.nodes[i].step)), " "]), node.children.length > 24 ? `and ${whole(node.children.length - 24)} more` : "") : null,
    el("h3", null, "Change against the parent"), diffView(node),
    rows.length ? [el("h3", null, "Results"), table(["split", ">score", ">flips"], rows)] : null,
    flipped.map(({ set, won, lost }) => [taskList(`▲ won on ${set.split}:`, won, "up"), taskList(`▼ lost on ${set.split}:`, lost, "down")]),
    notesOf(node),
    el("h3", null, "Look closer"),
    el("pre", { tabindex: 0 }, commandsOf(node).map((line) => el("div", null, line))));
}

function commandsOf(node) {
  const git = `git --git-dir=${quoted(page.data.archive)}/lineage.git`;
  return [`hyperagent show ${short(node.id)}`, node.parent >= 0 && node.commit ? `hyperagent diff ${short(node.id)}` : "",
    node.score === null ? "" : `hyperagent replay ${short(node.id)}`, node.commit ? `${git} archive ${node.commit.slice(0, 12)} | tar -x -C DIR` : ""].filter(Boolean);
}

function quoted(text) {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
