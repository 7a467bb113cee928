// Puts the parts together, and in a live page takes in what is new.

function facts() {
  const { data, nodes } = page, best = nodes[data.best], seed = nodes[0];
  const made = nodes.filter((one) => one.step > 0), scored = made.filter((one) => one.status === "evaluated").length;
  const tokens = nodes.reduce((sum, one) => sum + one.tokens, 0), cost = nodes.reduce((sum, one) => sum + one.cost, 0);
  const fact = (title, value, more, top) => el("div", { class: top ? "fact top" : "fact" }, el("span", null, title), el("b", null, value), el("span", null, more));
  const warnings = data.findings.filter((one) => one.level === "warn").length;
  const gain = data.against_seed, hidden = data.sets.find((one) => one.split === "test" && best && one.scores[best.i] && one.scores[0]);
  const sure = gain ? `${gain[0]} tasks won, ${gain[1]} lost against the seed${gain[3] === null ? "" : `, p = ${probability(gain[3])}`}` : "";
  return el("div", { class: "facts" },
    best ? fact(`best: step ${best.step}`, number(best.score), `${span(best.low, best.high)} on validation${sure ? `; ${sure}` : ""}`, true) : fact("best", "–", "nothing scored yet"),
    seed ? fact("seed program", number(seed.score), seed.low === null ? "" : `95% interval ${span(seed.low, seed.high)}`) : "",
    hidden ? fact("hidden test: the best", number(hidden.scores[best.i][0]), `${span(hidden.scores[best.i][1], hidden.scores[best.i][2])}; seed ${number(hidden.scores[0][0])} ${span(hidden.scores[0][1], hidden.scores[0][2])}`) : "",
    fact("variants", whole(scored), `scored in full, of ${whole(made.length)} attempts`),
    fact("tokens", brief(tokens), cost ? dollars(cost) : "no dollars: local or free models"),
    fact("findings", whole(warnings), warnings === 1 ? "warning to read" : "warnings to read"));
}

function findingsSection() {
  const rows = page.data.findings.map((one) => el("div", { class: `finding ${one.level}` }, one.text,
    one.steps.length ? [": ", one.steps.flatMap((step) => [link(page.nodes.findIndex((node) => node.step === step)), " "])] : ""));
  return section("Integrity: what to know before believing the scores", rows.length ? rows : el("p", null, "Nothing to report."),
    el("p", { class: "hint" }, "`hyperagent verify` checks that rows, programs and journal agree; `hyperagent replay` that scores come out again."));
}

function skillsSection() {
  const skills = page.data.skills;
  if (!skills.length) return null;
  const from = (row) => {
    const at = page.nodes.findIndex((node) => node.step === row.step);
    return at < 0 ? "" : link(at);
  };
  return section("Skills", table(["skill", "what it does", "from"], skills.map((row) => [row.name ?? "", row.about ?? "", from(row)])));
}

// The stored configuration as TOML: what `hyperagent run` takes. Text is quoted as JSON, which TOML reads alike.
function toml(config) {
  const lines = [], tables = [], value = (one) => JSON.stringify(one), plain = (one) => one === null || typeof one !== "object";
  const add = (name, body, head) => {
    tables.push("", head);
    for (const [key, one] of Object.entries(body)) if (plain(one)) tables.push(`${key} = ${value(one)}`);
    for (const [key, one] of Object.entries(body)) if (!plain(one)) add(`${name}.${key}`, one, `[${name}.${key}]`);
  };
  for (const [key, one] of Object.entries(config)) {
    if (key === "program_files") continue;
    if (plain(one)) lines.push(`${key} = ${value(one)}`);
    else if (Array.isArray(one)) for (const item of one) add(key, item, `[[${key}]]`);
    else add(key, one, `[${key}]`);
  }
  return [...lines, ...tables];
}

function configSection() {
  const { data } = page, name = data.campaign.name, best = page.nodes[data.best];
  const commands = [`hyperagent --archive ${quoted(data.archive)} lineage ${name}`, "hyperagent run config.toml   # the configuration below", `hyperagent resume ${name}`,
    ...(best ? [`hyperagent replay ${short(best.id)}   # the same bytes again, without a model`, `hyperagent test ${short(best.id)}   # its score on the hidden split`] : []), "hyperagent verify"];
  return section("Configuration and reproduction",
    el("p", null, `campaign ${name} (${data.campaign.id}), random seed ${data.campaign.seed}, made by hyperagent ${data.version}; this page is of ${moment(data.generated)}`),
    el("pre", { tabindex: 0, "aria-label": "commands" }, commands.map((line) => el("div", null, line))),
    el("details", null, el("summary", null, "config.toml"), el("pre", { tabindex: 0 }, toml(data.config).map((line) => el("div", null, line)))));
}

function header() {
  const { data } = page, campaign = data.campaign, live = page.live;
  page.badge = live ? el("span", { class: "badge live", role: "status" }, "live") : "";
  return el("header", null, el("h1", null, campaign ? campaign.name : "hyperagent"),
    campaign ? el("span", { class: "badge" }, words(campaign.state) + (campaign.reason ? `: ${campaign.reason}` : "")) : "", page.badge,
    campaign ? el("span", { class: "soft" }, `started ${moment(campaign.created)}`) : el("span", { class: "soft" }, data.archive),
    el("span", { class: "grow" }), live && campaign ? el("a", { href: live.index }, "all campaigns") : "",
    el("button", { type: "button", click: turnTheme, "aria-label": "light or dark" }, "light / dark"));
}

function turnTheme() {
  const root = document.documentElement, dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  if (page.data.campaign) paintHeat();
}

// Everything but the tree's frame is made anew when data comes in; selection, folds and choices stay.
function show(data) {
  const chosen = page.nodes[page.selected]?.id, scroll = [scrollX, scrollY];
  page.data = data;
  if (!data.campaign) return showIndex();
  page.nodes = unpack(data);
  page.plots = [];
  page.selected = chosen === undefined ? -1 : page.nodes.findIndex((one) => one.id === chosen);
  page.frame ??= { tree: treeSection(), aside: el("aside", { "aria-label": "chosen variant", "aria-live": "polite" }) };
  const parts = [scoreSection(), data.sets.length ? benchmarkSection() : null, data.sets.length ? heatSection() : null, costSection(), mutationSection(), findingsSection(), skillsSection(), configSection()];
  empty(document.body, header(), el("main", null, facts(), el("div", { class: "columns" }, el("div", null, page.frame.tree, parts), page.frame.aside)));
  redraw();
  if (page.selected < 0) {
    const step = Number(/^#step=(\d+)$/.exec(location.hash)?.[1] ?? NaN), asked = page.nodes.findIndex((one) => one.step === step);
    page.selected = asked >= 0 ? asked : data.best ?? 0;
  }
  for (const listener of page.listeners) listener(false);
  scrollTo(...scroll);
}

function redraw() {
  updateTree();
  for (const one of page.plots) one.render();
  if (page.data.sets.length) paintHeat();
}

function showIndex() {
  const rows = page.data.campaigns.map((one) => [el("a", { href: `${page.live.index}c/${one.id}` }, one.name), one.id.slice(0, 8), words(one.state), whole(one.evaluated), whole(one.attempts),
    one.best ? `${number(one.best[1])} (step ${one.best[0]})` : "–", brief(one.tokens), moment(one.created)]);
  empty(document.body, header(), el("main", null, section("Campaigns",
    rows.length ? table(["campaign", "id", "state", ">variants", ">attempts", ">best", ">tokens", "created"], rows) : el("p", null, "No campaign yet: start one with `hyperagent run`."))));
}

function listen() {
  const stream = new EventSource(page.live.stream);
  let fetching = false, again = false;
  const take = async () => {
    if (fetching) return void (again = true);
    fetching = true;
    try {
      const reply = await fetch(page.live.data);
      if (reply.ok) show(await reply.json());
    } finally {
      fetching = false;
      if (again) {
        again = false;
        take();
      }
    }
  };
  stream.addEventListener("changed", take);
  const tell = (text, kind) => {
    if (page.badge) Object.assign(page.badge, { textContent: text, className: `badge ${kind}` });
  };
  stream.addEventListener("open", () => tell("live", "live"));
  stream.addEventListener("error", () => tell("connection lost", "off"));
}

function start() {
  const { live, ...data } = JSON.parse(document.getElementById("data").textContent);
  page.live = live;
  onSelect(() => page.frame && showDetails(page.frame.aside));
  onSelect(() => page.plots?.forEach((one) => one.mark()));
  onSelect(() => page.data.sets.length && markHeat());
  show(data);
  if (live) listen();
  let waiting = 0;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => page.data.campaign && redraw(), 120);
  });
  addEventListener("hashchange", () => {
    const step = Number(/^#step=(\d+)$/.exec(location.hash)?.[1] ?? NaN);
    select(page.nodes.findIndex((one) => one.step === step), true);
  });
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName) || !page.data.campaign) return;
    event.preventDefault();
    document.getElementById("search").focus();
  });
}

start();
