// Figures over steps: scores with intervals and the running best, tokens and dollars, counts.

const TOP = 10, BOTTOM = 22, LEFT = 40, RIGHT = 10;

function ticks(low, high, most) {
  const rough = (high - low) / most || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((one) => one * power >= rough) * power, found = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-9; at += step) found.push(at + 0 || 0);
  return found;
}

// A plot over steps. `draw(x, y)` gives its marks; a click or the arrow keys choose the nearest variant of `points`.
function plot(label, points, low, high, format, draw, height = 230) {
  const box = svg("svg", { height, tabindex: 0, role: "application", "aria-label": `${label}; left and right keys choose a variant` });
  const last = Math.max(1, page.nodes.length ? page.nodes[page.nodes.length - 1].step : 1);
  const ring = svg("circle", { class: "ring", r: 0 });
  let x, y;
  const render = () => {
    const width = box.clientWidth || 600;
    x = (step) => LEFT + (step / last) * (width - LEFT - RIGHT);
    y = (value) => height - BOTTOM - ((value - low) / (high - low || 1)) * (height - TOP - BOTTOM);
    const grid = ticks(low, high, 5).map((value) => [
      svg("path", { class: "axis", d: `M${LEFT} ${y(value)}H${width - RIGHT}` }),
      svg("text", { class: "soft", x: LEFT - 5, y: y(value) + 4, "text-anchor": "end" }, format(value))]);
    const steps = ticks(0, last, Math.max(2, width / 90)).filter((one) => Number.isInteger(one)).map((value) =>
      svg("text", { class: "soft", x: x(value), y: height - 6, "text-anchor": "middle" }, whole(value)));
    empty(box, grid.flat(), steps, draw(x, y), ring);
    mark();
  };
  const mark = () => {
    const point = points.find((one) => one.i === page.selected);
    ring.setAttribute("r", point ? 7 : 0);
    if (point) {
      ring.setAttribute("cx", x(page.nodes[point.i].step));
      ring.setAttribute("cy", y(point.value));
    }
  };
  box.addEventListener("click", (event) => {
    const bounds = box.getBoundingClientRect(), atX = event.clientX - bounds.left, atY = event.clientY - bounds.top;
    let nearest = -1, distance = Infinity;
    for (const one of points) {
      const d = Math.hypot(x(page.nodes[one.i].step) - atX, (y(one.value) - atY) / 2);
      if (d < distance) [nearest, distance] = [one.i, d];
    }
    select(nearest);
  });
  box.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!way || !points.length) return;
    event.preventDefault();
    const at = points.findIndex((one) => one.i === page.selected);
    select(points[Math.max(0, Math.min(points.length - 1, at + way))].i);
  });
  page.plots.push({ render, mark });
  return el("div", { class: "view plot" }, box);
}

function scorePlot(label, value, interval, height) {
  const all = page.nodes.filter((one) => value(one) !== null && one.status !== "mutating").map((one) => ({ i: one.i, value: value(one) }));
  if (!all.length) return el("p", { class: "soft" }, "no score yet");
  let low = Infinity, high = -Infinity;
  for (const one of all) {
    const [from, to] = interval(page.nodes[one.i]) ?? [one.value, one.value];
    low = Math.min(low, from, one.value);
    high = Math.max(high, to, one.value);
  }
  [low, high] = [Math.max(0, Math.floor(low * 20) / 20), Math.min(1, Math.ceil(high * 20) / 20)];
  return plot(label, all, low, high === low ? low + 0.05 : high, (v) => v.toFixed(2), (x, y) => {
    const dots = { full: "", part: "" }, best = [];
    let whiskers = "", top = -Infinity;
    for (const { i, value: score } of all) {
      const node = page.nodes[i], at = x(node.step).toFixed(1), is = y(score).toFixed(1), bounds = interval(node);
      if (bounds) whiskers += `M${at} ${y(bounds[0]).toFixed(1)}V${y(bounds[1]).toFixed(1)}`;
      dots[(node.status === "screened_out" || node.status === "raced_out") ? "part" : "full"] += `M${at} ${is}h0`;
      if (node.status === "evaluated" && score > top) {
        best.push(best.length ? `H${at}V${is}` : `M${at} ${is}`);
        top = score;
      }
    }
    const end = x(page.nodes[page.nodes.length - 1].step).toFixed(1);
    return [svg("path", { class: "whisker", d: whiskers }), svg("path", { class: "dots pale", d: dots.part }), svg("path", { class: "dots", d: dots.full }),
      svg("path", { class: "run", d: best.length ? best.join("") + `H${end}` : "" })];
  }, height);
}

function scoreSection() {
  return section("Score over steps",
    scorePlot("validation score over steps", (one) => one.score, (one) => (one.low === null ? null : [one.low, one.high])),
    el("div", { class: "legend" }, el("span", null, "dot: validation score, bar: 95% interval"), el("span", null, "orange: best so far"), el("span", null, "grey dot: screened out, scored on what ran")));
}

function benchmarkSection() {
  const sets = page.data.sets.map((one) => {
    const scored = one.scores.filter((row) => row !== null).length, best = page.data.best;
    const row = best === null ? null : one.scores[best], seed = one.scores[0];
    return el("div", null, el("h3", null, `${one.benchmark}: ${one.split}`),
      el("p", { class: "readout" }, `${whole(one.tasks.length)} tasks, ${whole(scored)} variants`,
        seed ? `; seed ${seed[0].toFixed(2)} ${span(seed[1], seed[2])}` : "", row ? `; best ${row[0].toFixed(2)} ${span(row[1], row[2])}` : ""),
      scorePlot(`${one.benchmark} ${one.split} over steps`, (node) => one.scores[node.i]?.[0] ?? null, (node) => one.scores[node.i]?.slice(1) ?? null, 170));
  });
  return section("Benchmarks and splits", el("div", { class: "panels" }, sets),
    el("p", { class: "hint" }, "Programs see results of the train split only; validation chooses; the hidden test is shown only where it was asked for."));
}

function summed(name) {
  let sum = 0;
  return page.nodes.map((one) => ({ i: one.i, value: (sum += one[name]) }));
}

function spendPlot(label, name, format) {
  const points = summed(name), high = points.length ? points[points.length - 1].value : 0;
  if (!high) return null;
  const most = page.nodes.reduce((top, one) => Math.max(top, one[name]), 0);
  return el("div", null, el("h3", null, label), plot(label, points, 0, high, format, (x, y) => {
    const width = Math.max(1, Math.min(12, (x(1) - x(0)) * 0.6)), base = y(0);
    let bars = "";
    for (const one of page.nodes) {
      const top = base - (base - y(high)) * 0.5 * (one[name] / most), at = x(one.step) - width / 2;
      if (one[name]) bars += `M${at.toFixed(1)} ${base}V${top.toFixed(1)}h${width.toFixed(1)}V${base}Z`;
    }
    return [svg("path", { class: "bar", d: bars }), svg("path", { class: "run", d: points.map((one, k) => `${k ? "L" : "M"}${x(page.nodes[one.i].step).toFixed(1)} ${y(one.value).toFixed(1)}`).join("") })];
  }, 180), el("p", { class: "hint" }, `orange: the sum so far (axis); bars: each variant, the highest is ${format(most)}`));
}

function costSection() {
  const rows = (list) => list.map((row) => [row.name, whole(row.calls), whole(row.cached_calls), whole(row.failed), brief(row.prompt_tokens), brief(row.completion_tokens), dollars(row.cost), duration(row.seconds)]);
  const heads = [">calls", ">cached", ">failed", ">prompt", ">completion", ">cost", ">model time"];
  const plots = [spendPlot("Tokens over steps", "tokens", brief), spendPlot("Dollars over steps", "cost", dollars)].filter(Boolean);
  return section("Cost and tokens", plots.length ? el("div", { class: "panels" }, plots) : el("p", { class: "soft" }, "No model call was paid for."),
    el("h3", null, "By purpose"), table(["purpose", ...heads], rows(page.data.costs.purpose)), el("h3", null, "By model"), table(["model", ...heads], rows(page.data.costs.model)));
}

function mutationSection() {
  const made = page.nodes.filter((one) => one.step > 0), counts = new Map(), generations = new Map();
  let up = 0, same = 0, down = 0;
  const gains = [];
  for (const one of made) {
    counts.set(one.status, (counts.get(one.status) ?? 0) + 1);
    const above = page.nodes[one.parent];
    if (!above || one.score === null || above.score === null || one.status !== "evaluated") continue;
    const gain = one.score - above.score;
    if (Math.abs(gain) < 1e-9) same++;
    else gain > 0 ? up++ : down++;
    gains.push({ i: one.i, gain });
    const of = generations.get(one.generation) ?? { made: 0, up: 0, best: -Infinity };
    generations.set(one.generation, { made: of.made + 1, up: of.up + (gain > 1e-9), best: Math.max(of.best, one.score) });
  }
  const share = (count, all) => (all ? `${whole(count)} (${Math.round((100 * count) / all)}%)` : "0"), compared = up + same + down;
  gains.sort((a, b) => b.gain - a.gain || a.i - b.i);
  const seconds = made.map((one) => one.seconds).filter(Boolean).sort((a, b) => a - b);
  return section("Mutations",
    el("div", { class: "panels" },
      el("div", null, el("h3", null, `${whole(made.length)} attempts ended as`), table(["status", ">variants"], [...counts].map(([status, count]) => [words(status), share(count, made.length)])),
        el("p", { class: "hint" }, seconds.length ? `A mutation took ${duration(seconds[Math.floor(seconds.length / 2)])} (median).` : "")),
      el("div", null, el("h3", null, `${whole(compared)} scored in full, against their parent`),
        table(["", ">variants"], [[el("span", { class: "up" }, "▲ better"), share(up, compared)], ["= the same", share(same, compared)], [el("span", { class: "down" }, "▼ worse"), share(down, compared)]]),
        el("p", { class: "hint" }, "By score alone: most such differences are within the intervals.")),
      el("div", null, el("h3", null, "Largest steps up"), table(["variant", ">gain", "what it says"],
        gains.filter((one) => one.gain > 0).slice(0, 6).map((one) => [link(one.i), `+${one.gain.toFixed(3)}`, page.nodes[one.i].words.slice(0, 110)]))),
      el("div", null, el("h3", null, "By generation"), table(["generation", ">scored", ">better", ">best score"],
        [...generations].sort((a, b) => a[0] - b[0]).slice(0, 40).map(([generation, of]) => [whole(generation), whole(of.made), whole(of.up), of.best.toFixed(3)])))));
}
