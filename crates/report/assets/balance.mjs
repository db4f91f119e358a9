// How many rows have which label, and where labels come from.
import { absent, html, section, table } from "./elements.mjs";
import { typeWords } from "./chart.mjs";
import { percent, whole, words } from "./format.mjs";
import { colour, faint, onTheme } from "./theme.mjs";

const PHASES = ["steady", "transition", "recovery"];

function painted(element, paint) {
  const now = () => paint(element);
  onTheme(now);
  now();
  return element;
}

const labelColour = (type) => colour(type === "none" ? "normal-strong" : "anomalous");

// A bar of spans by phase: full strength is steady.
function bar(rows, most, own) {
  const strength = { steady: 1, transition: 0.45, recovery: 0.25 };
  const parts = PHASES.map((phase) => [phase, rows.spans_by_phase[phase] ?? 0]);
  const rest = rows.spans - parts.reduce((sum, [, count]) => sum + count, 0);
  return html(
    "div",
    {
      class: "bar",
      role: "img",
      "aria-label": `${whole(rows.spans)} spans: ${parts.map(([phase, count]) => `${phase} ${whole(count)}`).join(", ")}`,
    },
    [...parts, ["outside", rest]]
      .filter(([, count]) => count > 0)
      .map(([phase, count]) =>
        painted(html("span", { title: `${phase}: ${whole(count)} spans` }), (element) => {
          element.style.width = `${(100 * count) / most}%`;
          element.style.background = faint(own(), strength[phase] ?? 0.12);
        }),
      ),
  );
}

function shares(title, counts) {
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const rows = Object.entries(counts).sort((a, b) => b[1] - a[1]);
  return table(
    title,
    [
      { head: title.split(" ").at(-1), cell: ([name]) => words(name) },
      { head: "spans", number: true, cell: ([, count]) => whole(count) },
      { head: "share", number: true, cell: ([, count]) => percent(all > 0 ? count / all : null) },
    ],
    rows,
  );
}

export function balance(run) {
  const part = section("balance", "Labels");
  const data = run.balance;
  if (data === null || Object.keys(data.types).length === 0) {
    part.append(absent("There is no dataset whose rows could be counted."));
    return part;
  }
  const rows = Object.entries(data.types).sort(([a], [b]) =>
    a === "none" ? -1 : b === "none" ? 1 : a < b ? -1 : 1,
  );
  const most = Math.max(...rows.map(([, of]) => of.spans), 1);
  const sum = (of) => rows.reduce((all, [, row]) => all + (row[of] ?? 0), 0);
  const columns = [
    {
      head: "label",
      cell: ([type]) => typeWords(type),
    },
    { head: "spans by phase", cell: ([type, of]) => bar(of, most, () => labelColour(type)) },
    { head: "spans", number: true, cell: ([, of]) => whole(of.spans) },
    { head: "share", number: true, cell: ([, of]) => percent(of.spans / (sum("spans") || 1)) },
    { head: "steady", number: true, cell: ([, of]) => whole(of.spans_by_phase.steady ?? 0) },
    {
      head: "in class file",
      number: true,
      title: "steady spans of windows that the evidence backs",
      cell: ([, of]) => whole(of.class_file),
    },
    { head: "traces", number: true, cell: ([, of]) => whole(of.traces) },
    { head: "data points", number: true, cell: ([, of]) => whole(of.points) },
    { head: "log records", number: true, cell: ([, of]) => whole(of.logs) },
  ];
  part.append(
    html(
      "p",
      { class: "note" },
      "The label of a row is what was wrong with the system when its request was sent. Bars: steady in full strength, then transition and recovery.",
    ),
    table("Rows by label", columns, rows),
    html(
      "div",
      { class: "side" },
      shares("Spans by phase", data.spans_by_phase),
      shares("Spans by label source", data.spans_by_source),
      Object.keys(data.left_out).length > 0 &&
        shares("Spans in no class file, by reason", data.left_out),
    ),
  );
  return part;
}
