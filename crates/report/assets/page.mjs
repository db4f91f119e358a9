// Puts the page together from the figures that stand in it.
import { choice, html, section } from "./elements.mjs";
import { clock, declares, moment, windowName } from "./format.mjs";
import { onTheme, palette, startTheme, themeSwitch } from "./theme.mjs";
import { glance, runsTable } from "./glance.mjs";
import { forgetCharts } from "./chart.mjs";
import { timeline } from "./timeline.mjs";
import { verdicts } from "./verdicts.mjs";
import { balance } from "./balance.mjs";
import { graphOf } from "./graph.mjs";
import { waterfallOf } from "./waterfall.mjs";
import { audit, loading } from "./files.mjs";
import { comparisonParts } from "./comparison.mjs";

const SECTIONS = [
  ["glance", "At a glance"],
  ["timeline", "Timeline"],
  ["verdicts", "Verdicts"],
  ["balance", "Labels"],
  ["windows", "Windows"],
  ["audit", "Audit"],
  ["load", "Load it"],
];

// What parts of the page share: names and types of windows, and colours by service.
function prepare(run) {
  for (const window of run.windows) {
    window.name = windowName(window);
    window.shown_type =
      window.sham_of ??
      (declares(window)
        ? window.anomaly_type !== "none"
          ? window.anomaly_type
          : window.declared
        : "none");
  }
}

function servicesOf(runs) {
  const names = new Set();
  for (const run of runs) {
    for (const of of run.series?.services ?? []) names.add(of.service);
    for (const name of Object.keys(run.dataset?.services ?? {})) names.add(name);
  }
  return [...names].sort();
}

// A window at a time: its graph, and a typical trace of it.
function windowParts(run, services) {
  const part = section("windows", "Window by window");
  if (run.windows.length === 0) {
    part.append(html("p", { class: "absent" }, "There are no windows."));
    return part;
  }
  const first = run.windows.find(declares) ?? run.windows[0];
  const graph = html("div", {});
  const trace = html("div", {});
  const title = html("p", { class: "note" });
  let shown = first;
  const draw = () => {
    title.textContent = [
      shown.msg.replace(/(?<=[^.!?])$/, "."),
      shown.root_cause_service ? `The fault is said to be in ${shown.root_cause_service}.` : "",
    ]
      .filter(Boolean)
      .join(" ");
    graph.replaceChildren(graphOf(run, shown));
    trace.replaceChildren(waterfallOf(run, shown, services));
  };
  const show = (number) => {
    shown = run.windows.find((window) => String(window.number) === number) ?? first;
    draw();
  };
  part.append(
    html(
      "div",
      { class: "controls" },
      choice(
        "Window",
        run.windows.map((window) => [String(window.number), `${window.number}  ${window.name}`]),
        String(first.number),
        show,
      ),
    ),
    title,
    html("h3", {}, "Service graph"),
    graph,
    html("h3", {}, "A typical trace"),
    trace,
  );
  let narrow = innerWidth < 700;
  addEventListener("resize", () => {
    if (innerWidth < 700 === narrow) return;
    narrow = innerWidth < 700;
    draw();
  });
  draw();
  return part;
}

function heading(product, title, about) {
  return html(
    "header",
    {},
    html(
      "div",
      {},
      html("p", { class: "product" }, product),
      html("h1", {}, title),
      about && html("p", { class: "note" }, about),
    ),
    themeSwitch(),
  );
}

function header(run, runs) {
  if (runs.length > 1) return heading("loadgen report", `${runs.length} runs`);
  const about = [run.run ? run.run.scenario_file : "", run.t0_ms ? moment(run.t0_ms) : ""]
    .filter(Boolean)
    .join(" · ");
  return heading("loadgen report", run.name || "A run", about);
}

function showComparison(figures, root) {
  const { sides, scenario_file: file } = figures.comparison;
  const { parts, draw, links } = comparisonParts(figures);
  root.replaceChildren(
    heading("loadgen comparison", `${sides.b} against ${sides.a}`, file),
    nav(links),
    html("main", {}, parts),
    footer(figures),
  );
  draw();
  onTheme(draw);
}

function nav(sections) {
  return html(
    "nav",
    { "aria-label": "Parts of the page" },
    sections.map(([id, name]) => html("a", { href: `#${id}` }, name)),
  );
}

// Runs that are over: everything of one of them.
function showRuns(figures, root) {
  const { runs } = figures;
  const services = palette(servicesOf(runs));
  let shown = 0;
  const draw = () => {
    forgetCharts();
    const run = runs[shown];
    const over = timeline(run, services, false);
    root.replaceChildren(
      header(run, runs),
      nav(runs.length > 1 ? [["runs", "Runs"], ...SECTIONS] : SECTIONS),
      html(
        "main",
        {},
        runs.length > 1 &&
          runsTable(runs, shown, (at) => {
            shown = at;
            draw();
            document.getElementById("glance").scrollIntoView();
          }),
        runs.length > 1 && html("h2", { class: "run-name" }, run.name),
        glance(run),
        over.part,
        verdicts(run),
        balance(run),
        windowParts(run, services),
        audit(run),
        loading(run),
      ),
      footer(figures),
    );
    over.draw();
  };
  draw();
}

// A run that goes on: what is known of it, asked for again and again until it is over.
function showLive(figures, root) {
  forgetCharts();
  const [run] = figures.runs;
  const services = palette(servicesOf([run]));
  const state = html("p", { class: "live", role: "status" });
  const over = timeline(run, services, true);
  const top = html("div", {}, glance(run, true));
  const verdictTable = html("div", {});
  const words = (of) =>
    of.outcome?.status
      ? "The run is over. What its telemetry says is shown here as soon as it has been labelled."
      : of.windows.length === 0
        ? "The run has not begun."
        : `The run goes on: ${clock(of.span_s[1])}, window ${of.windows.at(-1).name}.`;
  let said = "";
  const list = (of) => {
    // What is there keeps the focus as long as it says the same.
    const now = JSON.stringify(of.windows.map((w) => [w.name, w.requests, w.faults]));
    if (now === said) return;
    said = now;
    verdictTable.replaceChildren(verdicts(of));
  };
  state.textContent = words(run);
  list(run);
  root.replaceChildren(
    header(run, [run]),
    html("main", {}, state, top, over.part, verdictTable),
    footer(figures),
  );
  over.draw();
  const ask = async () => {
    try {
      const answer = await fetch("figures.json", { cache: "no-store" });
      if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
      const now = await answer.json();
      if (!now.live) {
        document.title = `${now.runs[0].name} - loadgen report`;
        show(now);
        return;
      }
      now.runs.forEach(prepare);
      services.add(servicesOf(now.runs));
      state.textContent = words(now.runs[0]);
      top.replaceChildren(glance(now.runs[0], true));
      over.refresh(now.runs[0]);
      list(now.runs[0]);
    } catch (error) {
      state.textContent = `The run does not answer any more (${error.message}). What it left behind is in its folder, with report.html.`;
      return;
    }
    setTimeout(ask, figures.live.every_ms);
  };
  setTimeout(ask, figures.live.every_ms);
}

function footer(figures) {
  return html(
    "footer",
    {},
    html(
      "p",
      { class: "note" },
      `Made by loadgen ${figures.loadgen_version} from ${figures.comparison ? "the folders of the runs" : "the files of the dataset and of the run"}, and can be made again from them. Charts by uPlot, layout of graphs by dagre; both MIT, their licences are in this page.`,
    ),
  );
}

function show(figures) {
  const root = document.getElementById("page");
  if (figures.comparison) {
    showComparison(figures, root);
    return;
  }
  figures.runs.forEach(prepare);
  if (figures.runs.length === 0)
    root.replaceChildren(html("p", { class: "absent" }, "There is no run."));
  else if (figures.live) showLive(figures, root);
  else showRuns(figures, root);
}

startTheme();
show(JSON.parse(document.getElementById("figures").textContent));
