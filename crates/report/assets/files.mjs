// The audit, and how the dataset is loaded.
import { absent, html, name, section, table } from "./elements.mjs";
import { bytes, datasetVerdict, level, whole } from "./format.mjs";
import { badge } from "./glance.mjs";

const ORDER = ["error", "warning", "info", "ok"];

export function audit(run) {
  const part = section("audit", "Audit");
  if (run.checks.length === 0) {
    part.append(absent("There is no audit."));
    return part;
  }
  const checks = [...run.checks].sort((a, b) => ORDER.indexOf(a.level) - ORDER.indexOf(b.level));
  const list = (of) =>
    table(
      "Checks",
      [
        { head: "check", cell: (check) => html("code", { class: "whole" }, check.id) },
        { head: "level", cell: (check) => badge(level(check.level)) },
        {
          head: "found",
          cell: (check) =>
            html(
              "span",
              {},
              name(check.figure),
              check.details.length > 0 &&
                html(
                  "details",
                  {},
                  html("summary", {}, `${whole(check.details.length)} in detail`),
                  html(
                    "ul",
                    {},
                    check.details.slice(0, 50).map((line) => html("li", {}, name(line))),
                  ),
                ),
            ),
        },
        { head: "limit", cell: (check) => check.limit || "–" },
        { head: "what to do", cell: (check) => (check.advice ? name(check.advice) : "–") },
      ],
      of,
    );
  const odd = checks.filter((check) => check.level !== "ok");
  part.append(
    html(
      "p",
      {},
      badge(datasetVerdict(run.dataset.verdict)),
      ` ${whole(checks.length - odd.length)} of ${whole(checks.length)} checks found nothing.`,
    ),
    odd.length > 0 && list(odd),
    html("details", {}, html("summary", {}, "All checks"), list(checks)),
  );
  return part;
}

function code(title, lines) {
  return html(
    "div",
    { class: "code" },
    html("h4", {}, title),
    html(
      "pre",
      { tabindex: 0, "aria-label": `${title}: code` },
      html("code", {}, lines.join("\n")),
    ),
  );
}

export function loading(run) {
  const part = section("load", "Load it");
  const of = run.files;
  if (of === null) {
    part.append(absent("There is no dataset."));
    return part;
  }
  const path = (name) => (of.folder ? `${of.folder}/${name}` : name);
  const table_ = (name) => `${name}_${of.stamp}`;
  const parquet = (name) => path(`${table_(name)}.parquet`);
  const has = (name) => of.files.some((file) => file.name === `${table_(name)}.parquet`);
  const features = has("windows_features_5s");
  part.append(
    html("p", { class: "note" }, "Paths are seen from the folder of this page."),
    html(
      "div",
      { class: "side" },
      code("pandas", [
        "import pandas as pd",
        "",
        "spans = pd.read_parquet(",
        `    "${parquet("traces_labeled")}"`,
        ")",
        'backed = ["supported", "weak", "clean"]',
        "train = spans[",
        '    (spans.phase == "steady")',
        "    & spans.verdict.isin(backed)",
        "    & ~spans.late",
        "]",
        'print(train.groupby("anomaly_type").size())',
      ]),
      code("Polars", [
        "import polars as pl",
        "",
        "spans = pl.scan_parquet(",
        `    "${parquet("traces_labeled")}"`,
        ")",
        'backed = ["supported", "weak", "clean"]',
        "print(",
        "    spans.filter(",
        '        pl.col("phase") == "steady",',
        '        pl.col("verdict").is_in(backed),',
        '        ~pl.col("late"),',
        "    )",
        '    .group_by("anomaly_type", "service_name")',
        '    .agg(pl.col("duration_ms").median())',
        "    .collect()",
        ")",
      ]),
      code(
        "DuckDB",
        features
          ? [
              "SELECT timestamp, service_name,",
              "       server_count, server_p95_ms,",
              "       anomaly_type, phase",
              "FROM",
              `  '${parquet("windows_features_5s")}'`,
              "ORDER BY timestamp, service_name;",
            ]
          : [
              "SELECT anomaly_type, service_name,",
              "       count(*),",
              "       quantile_cont(duration_ms, 0.95)",
              "FROM",
              `  '${parquet("traces_labeled")}'`,
              "WHERE phase = 'steady' GROUP BY ALL;",
            ],
      ),
    ),
    html(
      "details",
      {},
      html("summary", {}, `${of.files.length} files`),
      table(
        "Files of the dataset",
        [
          { head: "file", cell: (file) => html("code", {}, name(path(file.name))) },
          {
            head: "rows",
            number: true,
            cell: (file) => (file.name.endsWith(".json") ? "–" : whole(file.rows)),
          },
          { head: "size", number: true, cell: (file) => bytes(file.bytes) },
        ],
        of.files,
      ),
    ),
  );
  return part;
}
