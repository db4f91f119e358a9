// The run at a glance, and the table of several runs.
import { html, section, table } from "./elements.mjs";
import {
  datasetVerdict,
  declares,
  moment,
  seconds,
  verdictCounts,
  whole,
  words,
} from "./format.mjs";

export function badge({ kind, sign, text }) {
  return html(
    "span",
    { class: `badge ${kind}` },
    html("span", { "aria-hidden": "true" }, sign),
    ` ${text}`,
  );
}

function card(title, value, ...notes) {
  return html(
    "div",
    { class: "card" },
    html("dt", {}, title),
    html(
      "dd",
      {},
      html("div", { class: "big" }, value),
      notes.filter(Boolean).map((note) => html("div", { class: "note" }, note)),
    ),
  );
}

// Windows of a run by verdict. A warm-up has none, so it is counted apart.
function verdictBadges(run) {
  const warmUps = run.windows.filter((window) => window.warm_up).length;
  const badges = verdictCounts(run.windows).map(({ count, ...of }) =>
    badge({ ...of, text: `${count} ${of.text}` }),
  );
  if (warmUps > 0)
    badges.push(html("span", { class: "note" }, `${warmUps} warm-up, not evaluated`));
  return badges.map((of) => html("span", { class: "count" }, of));
}

function outcomeWords(run, live) {
  if (live && !run.outcome.status) return "goes on";
  return words(run.outcome.status ?? "no end on the timeline");
}

function facts(run) {
  const of = run.run;
  const rows = [];
  const add = (name, value) =>
    value !== null && value !== undefined && value !== "" && rows.push([name, value]);
  if (of) {
    add("Run", html("code", {}, of.run_id));
    add("Scenario file", html("code", {}, of.scenario_file));
    add("Target", html("code", {}, of.target));
    add("Seed", String(of.seed));
    add("Time scale", String(of.time_scale));
    add("Sent by", of.engine === "k6" ? `k6 ${of.engine_version ?? ""}` : "loadgen");
    add("loadgen of the run", of.loadgen_version);
    if (of.shards?.length) add("Generators", String(of.shards.length));
  }
  if (run.dataset) {
    add("loadgen of the dataset", run.dataset.loadgen_version);
    add("Dataset", html("code", {}, run.dataset.stamp));
    if (run.dataset.reference_s !== null)
      add("Normal time to compare with", seconds(run.dataset.reference_s));
  }
  return html(
    "dl",
    { class: "facts" },
    rows.map(([name, value]) => html("div", {}, html("dt", {}, name), html("dd", {}, value))),
  );
}

function problems(run) {
  const out = [];
  for (const text of run.outcome?.fault_failures ?? [])
    out.push(html("p", { class: "warning" }, text));
  if (run.outcome?.stalls)
    out.push(
      html(
        "p",
        { class: "warning" },
        `The generator did not run for a while, ${run.outcome.stalls} times.`,
      ),
    );
  if (run.missing.length > 0) {
    out.push(
      html(
        "details",
        { class: "missing" },
        html(
          "summary",
          {},
          `${run.missing.length} ${run.missing.length === 1 ? "file is" : "files are"} not there or can't be read, so that parts of this page are empty`,
        ),
        html(
          "ul",
          {},
          run.missing.map((gap) =>
            html("li", {}, html("code", {}, gap.table), `: ${gap.shows}. ${gap.why}.`),
          ),
        ),
      ),
    );
  }
  return out;
}

export function glance(run, live) {
  const data = run.dataset;
  const cards = [];
  if (data) {
    const checks = (name) => run.checks.filter((check) => check.level === name).length;
    const found = [
      ["error", "errors"],
      ["warning", "warnings"],
    ]
      .filter(([name]) => checks(name) > 0)
      .map(([name, many]) => `${checks(name)} ${checks(name) === 1 ? name : many}`);
    cards.push(
      card(
        "Dataset",
        badge(datasetVerdict(data.verdict)),
        found.length > 0
          ? `${found.join(", ")} in ${run.checks.length} checks`
          : `no warning in ${run.checks.length} checks`,
      ),
    );
  }
  if (data && run.windows.length > 0) {
    const declared = run.windows.filter(
      (window) => declares(window) && !window.sham_of && !window.warm_up,
    );
    const supported = declared.filter((window) => window.verdict === "supported");
    cards.push(
      card(
        "Anomalies that can be seen",
        `${supported.length} of ${declared.length}`,
        html("span", { class: "counts" }, verdictBadges(run)),
      ),
    );
  }
  if (run.outcome) {
    const { requests, failed, dropped } = run.outcome;
    cards.push(
      card(
        "Run",
        outcomeWords(run, live),
        `${seconds(run.outcome.seconds)}, from ${moment(run.t0_ms)}`,
      ),
    );
    cards.push(
      card(
        "Requests",
        whole(requests),
        `${whole(failed)} not as expected`,
        dropped > 0 && `${whole(dropped)} iterations dropped`,
      ),
    );
  }
  if (data) {
    cards.push(
      card(
        "Spans",
        whole(data.spans.written),
        `in ${whole(data.traces)} traces of ${Object.keys(data.services).length} services`,
      ),
    );
    cards.push(
      card(
        "Metrics and logs",
        whole(data.points.written),
        "data points",
        `${whole(data.logs.written)} log records`,
      ),
    );
  }
  return section(
    "glance",
    "At a glance",
    html("dl", { class: "cards" }, cards),
    facts(run),
    problems(run),
  );
}

// All runs of the page. `show` is called with the number of one.
export function runsTable(runs, shown, show) {
  const types = [
    ...new Set(
      runs.flatMap((run) =>
        run.windows
          .filter((w) => declares(w) && !w.warm_up)
          .map((w) => w.sham_of ?? w.declared ?? w.anomaly_type),
      ),
    ),
  ].sort();
  const columns = [
    {
      head: "run",
      cell: ({ run, at }) =>
        html(
          "button",
          {
            type: "button",
            class: "link",
            "aria-current": at === shown ? "true" : null,
            onclick: () => show(at),
          },
          run.name || `run ${at + 1}`,
        ),
    },
    {
      head: "dataset",
      cell: ({ run }) => (run.dataset ? badge(datasetVerdict(run.dataset.verdict)) : "none"),
    },
    { head: "windows", cell: ({ run }) => html("span", { class: "counts" }, verdictBadges(run)) },
    { head: "target", cell: ({ run }) => html("code", {}, run.run?.target ?? "–") },
    { head: "seed", number: true, cell: ({ run }) => String(run.run?.seed ?? "–") },
    { head: "length", number: true, cell: ({ run }) => seconds(run.span_s[1] - run.span_s[0]) },
    { head: "requests", number: true, cell: ({ run }) => whole(run.outcome?.requests) },
    { head: "spans", number: true, cell: ({ run }) => whole(run.dataset?.spans.written) },
    { head: "traces", number: true, cell: ({ run }) => whole(run.dataset?.traces) },
  ];
  const rows = runs.map((run, at) => ({ run, at }));
  const byType = types.map((type) => ({
    type,
    windows: runs.flatMap((run) =>
      run.windows.filter((w) => !w.sham_of && (w.declared ?? w.anomaly_type) === type),
    ),
    shams: runs.flatMap((run) => run.windows.filter((w) => w.sham_of === type)),
    traces: runs.reduce((sum, run) => sum + (run.balance?.types[type]?.traces ?? 0), 0),
    spans: runs.reduce((sum, run) => sum + (run.balance?.types[type]?.spans ?? 0), 0),
  }));
  const count = (windows, name) => windows.filter((window) => window.verdict === name).length;
  const effects = (windows) => {
    const known = windows
      .map((w) => w.effect?.value)
      .filter((v) => v !== undefined)
      .sort((a, b) => a - b);
    return known.length === 0
      ? "–"
      : known.length === 1
        ? known[0].toFixed(2)
        : `${known[0].toFixed(2)} to ${known.at(-1).toFixed(2)}`;
  };
  return section(
    "runs",
    `${runs.length} runs`,
    table("The runs of this page; a run's name shows it below", columns, rows, ({ at }) => ({
      class: at === shown ? "shown" : null,
    })),
    types.length > 0 &&
      table(
        "Windows of all runs by anomaly type",
        [
          { head: "anomaly type", cell: (row) => words(row.type) },
          { head: "windows", number: true, cell: (row) => whole(row.windows.length) },
          {
            head: "supported",
            number: true,
            cell: (row) => whole(count(row.windows, "supported")),
          },
          { head: "weak", number: true, cell: (row) => whole(count(row.windows, "weak")) },
          {
            head: "not supported",
            number: true,
            cell: (row) => whole(count(row.windows, "not_supported")),
          },
          {
            head: "not enough data",
            number: true,
            cell: (row) => whole(count(row.windows, "not_enough_data")),
          },
          { head: "effect, least to largest", number: true, cell: (row) => effects(row.windows) },
          {
            head: "shams and harmless changes",
            number: true,
            cell: (row) =>
              row.shams.length === 0
                ? "–"
                : `${whole(row.shams.length)}, ${whole(count(row.shams, "supported"))} supported`,
          },
          { head: "traces", number: true, cell: (row) => whole(row.traces) },
          { head: "spans", number: true, cell: (row) => whole(row.spans) },
        ],
        byType,
      ),
  );
}
