// Runs of two engines, or two runs, compared.
/* global uPlot */
import { html, section, svg, table } from "./elements.mjs";
import { short, whole } from "./format.mjs";
import { onTheme, sideColour } from "./theme.mjs";
import { badge } from "./glance.mjs";
import { chart } from "./chart.mjs";

const VERDICTS = {
  same: { kind: "good", sign: "=", text: "same" },
  different: { kind: "bad", sign: "≠", text: "different" },
  not_enough_data: { kind: "unknown", sign: "?", text: "undecided" },
  not_available: { kind: "unknown", sign: "–", text: "not available" },
};

const SYMBOLS = {
  count: "",
  per_second: "1/s",
  percent: "%",
  milliseconds: "ms",
  cpu_seconds: "CPU s",
  mebibytes: "MiB",
};

const OVERVIEW = [
  ["requests", "requests"],
  ["iterations", "iterations"],
  ["failed", "failed"],
  ["client.p50", "client p50"],
  ["client.p95", "client p95"],
  ["client.p99", "client p99"],
  ["server.p50", "target p50"],
  ["server.p95", "target p95"],
  ["server.p99", "target p99"],
  ["outside.p50", "outside p50"],
  ["cpu_per_1000", "CPU"],
];

function plus(value) {
  const text =
    Math.abs(value) < 0.05
      ? value.toFixed(2)
      : Math.abs(value) < 100
        ? value.toFixed(1)
        : value.toFixed(0);
  if (Number(text) === 0) return "0";
  return value < 0 ? `−${text.slice(1)}` : `+${text}`;
}

function unitOf(row) {
  if (row.difference?.kind === "relative") return "%";
  return row.metric.unit === "percent" ? "points" : SYMBOLS[row.metric.unit];
}

const find = (rows, id) => rows.find((row) => row.metric.id === id);
const isThere = (row) => row && row.verdict !== "not_available";

function mean(values) {
  const there = values.filter((value) => value !== null);
  return there.length === 0 ? null : there.reduce((sum, value) => sum + value, 0) / there.length;
}

function value(values, unit) {
  const of = mean(values);
  if (of === null) return "–";
  return unit === "percent" ? of.toFixed(2) : unit === "count" ? whole(of) : short(of);
}

function interval(row) {
  const of = row.difference;
  return of && of.low !== null ? `${plus(of.low)} to ${plus(of.high)}` : "–";
}

function settles(row, pairs) {
  if (row.verdict !== "not_enough_data") return "–";
  if (row.repetitions_to_settle) return whole(row.repetitions_to_settle);
  if (!row.difference || pairs < 2 || row.difference.low === null) return "can't be told";
  return "more than 1 000";
}

function overview(comparison) {
  const shown = OVERVIEW.filter(([id]) =>
    comparison.scenarios.some((of) => isThere(find(of.rows, id))),
  );
  const cell = (row) => {
    if (!isThere(row)) return "–";
    const { kind, sign, text } = VERDICTS[row.verdict];
    return html(
      "span",
      { class: `badge ${kind}`, title: text },
      `${row.difference ? plus(row.difference.mean) : "–"} `,
      html("span", {}, sign),
    );
  };
  return table(
    `Mean paired difference in percent of ${comparison.sides.a}; of failed requests in percentage points. = the same within ${comparison.tolerance_percent} %, ≠ different, ? undecided.`,
    [
      {
        head: "scenario",
        cell: (of) => html("a", { href: `#scenario-${of.scenario}` }, of.scenario),
      },
      ...shown.map(([id, head]) => ({ head, number: true, cell: (of) => cell(find(of.rows, id)) })),
    ],
    comparison.scenarios,
  );
}

// Relative differences of quantiles in all scenarios, with intervals, beside the tolerance.
function forestPlot(comparison, what, title) {
  const rows = comparison.scenarios
    .flatMap((of) =>
      ["p50", "p95", "p99"].map((p) => ({
        name: `${of.scenario} ${p}`,
        first: p === "p50",
        row: find(of.rows, `${what}.${p}`),
      })),
    )
    .filter(({ row }) => row?.difference?.kind === "relative");
  if (rows.length === 0) return null;
  const tolerance = comparison.tolerance_percent;
  const ends = rows
    .flatMap(({ row: { difference: d } }) => [d.low ?? d.mean, d.high ?? d.mean])
    .sort((a, b) => a - b);
  // A few that are far away would press all others together: they end in an arrow.
  const at = (share) => ends[Math.round(share * (ends.length - 1))];
  const low = Math.min(-1.5 * tolerance, at(0.08));
  const high = Math.max(1.5 * tolerance, at(0.92));
  const width = 560;
  const left = Math.min(230, 20 + 7 * Math.max(...rows.map(({ name }) => name.length)));
  const x = (of) =>
    left + ((Math.max(low, Math.min(high, of)) - low) / (high - low)) * (width - left - 16);
  const height = 18 * rows.length + 40;
  const step =
    [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000].find((of) => (high - low) / of <= 6) ??
    10000;
  const ticks = [];
  for (let of = Math.ceil(low / step) * step; of <= high; of += step) ticks.push(of);
  const drawing = svg(
    "svg",
    {
      class: "forest-plot",
      viewBox: `0 0 ${width} ${height}`,
      role: "img",
      "aria-label": `${title}: differences with intervals; the numbers are in the tables below`,
    },
    svg("rect", {
      x: x(-tolerance),
      width: x(tolerance) - x(-tolerance),
      y: 4,
      height: height - 34,
      class: "band",
    }),
    ticks.map((of) =>
      svg(
        "g",
        {},
        svg("line", {
          x1: x(of),
          x2: x(of),
          y1: 4,
          y2: height - 30,
          class: of === 0 ? "zero" : "scale",
        }),
        svg(
          "text",
          { x: x(of), y: height - 14, class: "tick" },
          of === 0 ? "0" : plus(of).replace(/\.0$/, ""),
        ),
      ),
    ),
    rows.map(({ name, first, row }, index) => {
      const y = 16 + 18 * index;
      const { difference: of } = row;
      const { kind, text } = VERDICTS[row.verdict];
      return svg(
        "g",
        {},
        svg("title", {}, `${name}: ${plus(of.mean)} % (${interval(row)}), ${text}`),
        first &&
          index > 0 &&
          svg("line", { x1: 0, x2: width, y1: y - 9, y2: y - 9, class: "scale" }),
        svg("text", { x: left - 8, y: y + 4, class: "label" }, name),
        of.low !== null &&
          svg("line", { x1: x(of.low), x2: x(of.high), y1: y, y2: y, class: `interval ${kind}` }),
        of.low !== null &&
          of.low < low &&
          svg("path", { d: `M${x(low)},${y} l6,-4 v8 z`, class: `point ${kind}` }),
        of.high !== null &&
          of.high > high &&
          svg("path", { d: `M${x(high)},${y} l-6,-4 v8 z`, class: `point ${kind}` }),
        svg("circle", { cx: x(of.mean), cy: y, r: 4, class: `point ${kind}` }),
      );
    }),
  );
  return html(
    "figure",
    { class: "half" },
    html(
      "figcaption",
      { class: "plain" },
      html("strong", {}, title),
      html(
        "span",
        { class: "note" },
        `difference to ${comparison.sides.a}, %, with its interval; the band is ±${tolerance} %`,
      ),
    ),
    drawing,
  );
}

function allRows(comparison) {
  return [
    ...comparison.run.map((row) => ["the runs as a whole", row]),
    ...comparison.scenarios.flatMap((of) => of.rows.map((row) => [of.scenario, row])),
  ];
}

// What the intervals leave open, and how many repetitions would settle it.
function undecided(comparison) {
  const pairs = comparison.pairs.length;
  const open = allRows(comparison).filter(([, row]) => row.verdict === "not_enough_data");
  const there = allRows(comparison).filter(([, row]) => isThere(row)).length;
  const part = section("undecided", "What is undecided");
  if (open.length === 0) {
    part.append(
      html("p", {}, `Nothing: each of ${whole(there)} figures is the same or different.`),
    );
    return part;
  }
  const needed = open
    .map(([, row]) => row.repetitions_to_settle)
    .filter(Boolean)
    .sort((a, b) => a - b);
  const at = (share) => needed[Math.ceil(share * needed.length) - 1];
  const sentence =
    needed.length === 0
      ? pairs < 2
        ? "One repetition has no spread between pairs: from two on it can be told how many would settle it."
        : "More than 1,000 repetitions would be needed for each of them, or longer runs."
      : `If means and spreads stay as they are, ${whole(at(0.5))} repetitions in all would settle half of these ${whole(needed.length)}, ${whole(at(0.9))} nine in ten, ${whole(needed.at(-1))} all.${needed.length < open.length ? ` Of ${whole(open.length - needed.length)} more it can't be told, or more than 1,000 would be needed.` : ""}`;
  part.append(
    html(
      "p",
      {},
      `${whole(open.length)} of ${whole(there)} figures, after ${whole(pairs)} ${pairs === 1 ? "repetition" : "repetitions"}. ${sentence}`,
    ),
    html(
      "p",
      { class: "note" },
      "An interval over n pairs is as wide as Student's t for n over the root of n. It is a guess: the mean and the spread of a few pairs are guesses, too, and what lies near the tolerance is not settled soon by anything.",
    ),
    html(
      "details",
      {},
      html("summary", {}, "Each of them"),
      table(
        "Figures that are undecided, those that need the fewest repetitions first",
        [
          { head: "scenario", cell: ([name]) => name },
          { head: "figure", cell: ([, row]) => row.metric.title },
          {
            head: "difference",
            number: true,
            cell: ([, row]) =>
              row.difference ? `${plus(row.difference.mean)} ${unitOf(row)}` : "–",
          },
          { head: "interval", number: true, cell: ([, row]) => interval(row) },
          { head: "repetitions in all", number: true, cell: ([, row]) => settles(row, pairs) },
        ],
        [...open].sort(
          ([, a], [, b]) => (a.repetitions_to_settle ?? 1e9) - (b.repetitions_to_settle ?? 1e9),
        ),
      ),
    ),
  );
  return part;
}

function figuresTable(comparison, caption, rows) {
  return table(
    caption,
    [
      {
        head: "figure",
        cell: (row) =>
          html(
            "span",
            { title: row.metric.id },
            row.metric.title,
            SYMBOLS[row.metric.unit] ? `, ${SYMBOLS[row.metric.unit]}` : "",
            row.note && html("p", { class: "note row-note" }, row.note),
          ),
      },
      { head: comparison.sides.a, number: true, cell: (row) => value(row.a, row.metric.unit) },
      { head: comparison.sides.b, number: true, cell: (row) => value(row.b, row.metric.unit) },
      {
        head: "difference",
        number: true,
        cell: (row) => (row.difference ? `${plus(row.difference.mean)} ${unitOf(row)}` : "–"),
      },
      { head: `${100 * comparison.intervals.confidence} % interval`, number: true, cell: interval },
      { head: "verdict", cell: (row) => badge(VERDICTS[row.verdict]) },
      {
        head: "settled by",
        number: true,
        title: "repetitions in all, if mean and spread stay as they are",
        cell: (row) => settles(row, comparison.pairs.length),
      },
    ],
    rows,
  );
}

const NINES = [0, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999];
const share = (x) => `${Number((100 * (1 - 10 ** -x)).toPrecision(7))} %`;

function drawCurves(of, curves, sides) {
  const tables = curves.map((curve) => [
    curve.points.map(([x]) => x),
    curve.points.map(([, y]) => y),
  ]);
  const [times, ...values] = tables.length === 1 ? tables[0] : uPlot.join(tables);
  of.draw(
    times,
    curves.map((curve, at) => ({
      name: `${curve.is_b ? sides.b : sides.a}${curve.of === "target" ? ", target" : curve.of === "client" ? ", client" : ""}`,
      colour: sideColour(curve.is_b),
      dash: curve.of === "target" ? [6, 4] : [],
      values: values[at],
    })),
  );
}

function scenarioPart(comparison, of, curves) {
  const { sides } = comparison;
  const part = section(`scenario-${of.scenario}`, of.scenario);
  const same =
    of.work.iterations === 0
      ? "no iteration was started by both"
      : `${whole(of.work.same_iterations)} of ${whole(of.work.iterations)} iterations that both started are alike`;
  part.append(
    html(
      "p",
      { class: "note" },
      `Anomaly ${of.anomaly_type}${of.asked_iterations_per_s ? `, ${short(of.asked_iterations_per_s)} iterations a second asked for` : ""}; ${same}.`,
    ),
  );
  const draws = [];
  const add = (options, lines) => {
    if (!lines.some((line) => line.points.length > 0)) return null;
    const right = Math.max(...lines.flatMap((line) => line.points.map(([x]) => x)));
    const own = chart({
      ...options(right),
      windows: () => [],
      span: () => [0, right],
    });
    own.figure.classList.add("half");
    draws.push(() =>
      drawCurves(
        own,
        lines.filter((line) => line.points.length > 0),
        sides,
      ),
    );
    return own.figure;
  };
  const latencies = add(
    (right) => ({
      title: "Latency quantiles",
      unit: "ms, over the share of requests that are at most so slow; solid: client, dashed: target",
      format: (v) => `${short(v)} ms`,
      tick: short,
      log: () => true,
      x: {
        key: "shares",
        words: share,
        tick: share,
        splits: () => NINES.map((of) => -Math.log10(1 - of)).filter((x) => x <= right),
      },
    }),
    curves?.latencies ?? [],
  );
  const rates = add(
    (right) => ({
      title: "Requests sent",
      unit: "requests a second, over the window",
      format: (v) => `${short(v)} /s`,
      tick: short,
      x: {
        key: "window",
        words: (s) => `${short(s)} s`,
        tick: (s) => `${short(s)} s`,
        splits: () => [0, 0.25, 0.5, 0.75, 1].map((part) => part * right),
      },
    }),
    curves?.rates ?? [],
  );
  part.append(
    html("div", { class: "side" }, latencies, rates),
    figuresTable(comparison, `Figures of ${of.scenario}`, of.rows),
  );
  return { part, draw: () => draws.forEach((draw) => draw()) };
}

function sidesLegend(sides) {
  const key = (isB) => {
    const line = html("span", { class: "key" });
    const paint = () => (line.style.background = sideColour(isB));
    onTheme(paint);
    paint();
    return line;
  };
  return html(
    "div",
    { class: "legend" },
    html("span", {}, key(false), sides.a),
    html("span", {}, key(true), sides.b),
  );
}

// All parts of the page of a comparison, and what draws its charts.
export function comparisonParts(figures) {
  const { comparison, same_work: sameWork, curves } = figures;
  const { sides, pairs } = comparison;
  const top = section(
    "glance",
    "At a glance",
    html(
      "p",
      { class: "note" },
      `${whole(pairs.length)} ${pairs.length === 1 ? "pair" : "pairs"} of runs, time scale ${comparison.time_scale}, loadgen ${comparison.loadgen_version}. Differences are ${sides.b} less ${sides.a}, in percent of ${sides.a}.`,
    ),
    comparison.warnings.map((warning) => html("p", { class: "warning", role: "note" }, warning)),
    comparison.left_out.map((of) =>
      html(
        "p",
        { class: "warning" },
        `Repetition ${of.repetition} is left out: ${of.folder}: ${of.reason}`,
      ),
    ),
  );
  const pairsTable = table(
    "The runs, in pairs",
    [
      { head: "pair", cell: (pair) => String(pair.repetition) },
      { head: "seed", number: true, cell: (pair) => String(pair.a.seed) },
      { head: "first", cell: (pair) => (pair.first === "a" ? sides.a : sides.b) },
      ...["a", "b"].map((side) => ({
        head: sides[side],
        cell: (pair) =>
          html(
            "span",
            {},
            html("code", {}, pair[side].folder),
            ` ${pair[side].engine} ${pair[side].engine_version ?? ""}`,
          ),
      })),
    ],
    pairs,
  );
  const how = section(
    "how",
    "How it was made",
    html(
      "p",
      {},
      `Each pair sent the same plan with the same seed. A relative difference is the geometric mean of the pairs' ratios, less 1. Its interval is a bootstrap of ${whole(comparison.intervals.resamples)} resamples with the fixed seed ${comparison.intervals.seed}: over the pairs (widened for few of them, as Student's t does), and for quantiles also over the requests within each run. With one pair only the requests within it are resampled, and single numbers have no interval. Same means that the whole interval lies within the tolerance, different that it lies wholly outside. Requests of one run depend on each other, so the part of the interval that comes from within a run is too narrow.`,
    ),
    pairsTable,
  );
  if (pairs.length === 0) {
    top.append(html("p", { class: "absent" }, "Nothing to compare: no pair of runs is complete."));
    return { parts: [top], draw: () => {}, links: [["glance", "At a glance"]] };
  }
  top.append(
    html("p", {}, sameWork),
    overview(comparison),
    html(
      "div",
      { class: "side" },
      forestPlot(comparison, "client", "Latency seen by the client"),
      forestPlot(comparison, "server", "Latency seen by the target"),
    ),
  );
  const scenarios = comparison.scenarios.map((of) =>
    scenarioPart(
      comparison,
      of,
      curves.find((own) => own.scenario === of.scenario),
    ),
  );
  const run = section(
    "run",
    "The runs as a whole",
    sidesLegend(sides),
    figuresTable(comparison, "Figures of the runs as a whole", comparison.run),
  );
  return {
    parts: [top, undecided(comparison), run, ...scenarios.map(({ part }) => part), how],
    draw: () => scenarios.forEach(({ draw }) => draw()),
    links: [
      ["glance", "At a glance"],
      ["undecided", "Undecided"],
      ["run", "Whole runs"],
      ...comparison.scenarios.map((of) => [`scenario-${of.scenario}`, of.scenario]),
      ["how", "How"],
    ],
  };
}
