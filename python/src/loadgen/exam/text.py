"""The result of an exam as text: Markdown for the file, lines for the terminal."""

from __future__ import annotations

from typing import Any

Row = list[str]


def number(value: float | None, digits: int = 3) -> str:
    """A figure; a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def interval(low: float | None, high: float | None, digits: int = 3) -> str:
    """Both ends of an interval."""
    return "–" if low is None else f"{number(low, digits)}–{number(high, digits)}"


def percent(value: float | None) -> str:
    """A share as per cent."""
    return "–" if value is None else f"{100 * value:.1f} %"


def seconds(value: float | None) -> str:
    """A duration."""
    return "–" if value is None else f"{value:.1f} s"


def conclusion(result: dict[str, Any]) -> list[str]:
    """The answer, and why."""
    if "audit" not in result and not result.get("detectors") and result["passed"]:
        return ["Neither the dataset nor a detector was evaluated."]
    return ["Passed." if result["passed"] else "Not passed.", *result["why"]]


def data(result: dict[str, Any]) -> str:
    """What was evaluated, in a sentence."""
    of = result["data"]
    windows = ", ".join(f"{count} {name}" for name, count in of["windows"].items())
    return (
        f"{of['runs']} runs, {of['episodes']} episodes; windows with faults and shams: "
        f"{windows or 'none'}. {of['judged']} of {of['buckets']} buckets of 5 s are evaluated, "
        f"{of['anomalous']} of them anomalous (p = {percent(of['p'])}). {of['features']} features."
    )


DETECTORS = [
    "Detector", "Verdict", "Precision", "Recall", "F1", "Floor", "Lift", "AUC-ROC (0.5)", "95 %",
    "PR-AUC", "Chance",
]  # fmt: skip


def detectors(result: dict[str, Any]) -> list[Row]:
    """A row for each detector."""
    return [
        [
            of["title"],
            of["verdict"],
            number(of["precision"]),
            number(of["recall"]),
            number(of["f1"]),
            number(of["f1_floor"]),
            number(of["lift"], 2),
            number(of["auc_roc"]),
            interval(of["auc_roc_low"], of["auc_roc_high"], 2),
            number(of["pr_auc"]),
            number(of["pr_auc_chance"]),
        ]
        for of in result["detectors"].values()
    ]


NOTICED = [
    "Detector", "Injections", "Noticed", "Delay: 10 %", "half", "90 %", "Shams alarmed",
    "Harmless changes alarmed", "False alarms an hour",
]  # fmt: skip


def noticed(result: dict[str, Any]) -> list[Row]:
    """How many injections each detector noticed, how soon, and how often it was wrong."""
    rows = []
    for of in result["detectors"].values():
        found, rest = of["detection"], of["undisturbed"]
        rows.append(
            [
                of["title"],
                str(found["injections"]),
                percent(found["rate"]),
                *(seconds(found[f"delay_{name}_s"]) for name in ("p10", "p50", "p90")),
                _alarmed(rest["sham"]),
                _alarmed(rest["harmless"]),
                number(rest["false_alarms_per_hour"], 1),
            ]
        )
    return rows


def _alarmed(of: dict[str, Any]) -> str:
    return f"{of['alarmed']} of {of['windows']}" if of["windows"] else "–"


def prevalence(result: dict[str, Any]) -> tuple[Row, list[Row]]:
    """F1 at other shares of anomalies."""
    found = list(result["detectors"].values())
    shares = [of["p"] for of in found[0]["prevalence"]]
    floors = [number(of["f1_floor"]) for of in found[0]["prevalence"]]
    head = ["F1 if p were", *(f"{100 * p:g} %" for p in shares)]
    rows = [["(floor)", *floors]]
    rows += [[of["title"], *(number(at["f1"]) for at in of["prevalence"])] for of in found]
    return head, rows


def windows(result: dict[str, Any]) -> tuple[Row, list[Row]]:
    """Verdict and F1 over lengths of windows."""
    lengths = [str(length) for length in result["windows_s"]]
    head = ["F1 (floor), verdict with windows of", *(f"{length} s" for length in lengths)]
    rows = [
        [
            of["title"],
            *(
                f"{number(at['f1'])} ({number(at['f1_floor'])}) {at['verdict']}"
                for at in (of["windows"][length] for length in lengths)
            ),
        ]
        for of in result["detectors"].values()
    ]
    return head, rows


def families(result: dict[str, Any], what: str) -> tuple[Row, list[Row]]:
    """Recall or AUC by anomaly type, a column for each detector that is no reference."""
    shown = [of for of in result["detectors"].values() if not of["reference"]]
    shown = shown or list(result["detectors"].values())
    head = ["Anomaly type", "Buckets", "Injections", *(of["title"] for of in shown)]
    rows = []
    for place, first in enumerate(shown[0]["families"]):
        figures = [number(of["families"][place][what], 2) for of in shown]
        counts = [str(first["buckets"]), str(first["episodes"])]
        rows.append([first["anomaly_type"], *counts, *figures])
    return head, rows


LEAKS = ["From", "of", "Classes", "Chance", "Balanced accuracy", "95 % bounds", "Allowed", "Result"]


def leaks(check: dict[str, Any]) -> list[Row]:
    """A row for each source and target."""
    figures = check["figures"]
    rows = []
    for leak in [*figures["leaks"], *figures.get("as_sent", [])]:
        evaluated = leak["result"] if leak["source"] != "as sent" else "not evaluated"
        rows.append(
            [
                leak["source"].replace("_", " "),
                leak["target"],
                str(leak["classes"]),
                number(leak["chance"]),
                number(leak["balanced_accuracy"]),
                interval(leak["low"], leak["high"]),
                number(leak["limit"]),
                evaluated,
            ]
        )
    return rows


ONE_LINE = [
    "Anomaly type", "Buckets", "F1 on other folds", "Floor", "Rule that fits best", "Its F1",
    "F1 of the one rule for all", "Evaluated",
]  # fmt: skip


def one_line(check: dict[str, Any]) -> list[Row]:
    """The best rule of one line for each type."""
    return [
        [
            rule["anomaly_type"],
            str(rule["buckets"]),
            number(rule["f1_on_other_folds"], 2),
            number(rule["f1_floor"], 2),
            rule["rule"],
            number(rule["f1"], 2),
            number(rule["f1_of_one_for_all"], 2),
            "yes" if rule["judged"] else "too few",
        ]
        for rule in check["figures"]["rules"]
    ]


CAUSES = [
    "Method",
    "Fault",
    "Cases",
    "Top-1",
    "by chance",
    "Top-3",
    "by chance",
    "Avg@5",
    "by chance",
]


def causes(found: dict[str, Any]) -> list[Row]:
    """A row for each method and fault."""
    rows = []
    for method, of in found["methods"].items():
        for fault, figures in [("all", of["all"]), *of["by_fault"].items()]:
            measured = [
                number(figures[name], 2)
                for measure in ("top1", "top3", "avg5")
                for name in (measure, f"chance_{measure}")
            ]
            rows.append([method, fault, str(figures["cases"]), *measured])
    return rows


def check_named(result: dict[str, Any], name: str) -> dict[str, Any] | None:
    """A check of the audit, if it was made."""
    for check in result.get("audit", []):
        if check["name"] == name:
            found: dict[str, Any] = check
            return found
    return None


def tables(result: dict[str, Any]) -> list[tuple[str, Row, list[Row]]]:
    """All tables with their titles."""
    found: list[tuple[str, Row, list[Row]]] = []
    if result.get("detectors"):
        found.append(("Detectors", DETECTORS, detectors(result)))
        found.append(("Injections noticed", NOTICED, noticed(result)))
        found.append(("Recall by anomaly type", *families(result, "recall")))
        found.append(("AUC-ROC by anomaly type", *families(result, "auc_roc")))
        found.append(("Other shares of anomalies", *prevalence(result)))
        found.append(("Other lengths of windows", *windows(result)))
    of_leaks = check_named(result, "leaks")
    if of_leaks:
        found.append(("What the offered load tells", LEAKS, leaks(of_leaks)))
    of_rules = check_named(result, "one_line")
    if of_rules:
        found.append(("The best rule of one line", ONE_LINE, one_line(of_rules)))
    causes_found = result.get("root_cause", {})
    if "methods" in causes_found:
        found.append(("Root causes", CAUSES, causes(causes_found)))
    return found


def audit_lines(result: dict[str, Any]) -> list[str]:
    """A line for each check."""
    lines = []
    for check in result.get("audit", []):
        answer = "yes" if check["passed"] else "NO"
        lines.append(f"{check['title']} {answer}: {'; '.join(check['told'])}")
    return lines


def verdict_lines(result: dict[str, Any]) -> list[str]:
    """Why a detector did not pass, and what else is to be known of it."""
    return [
        f"{of['title']}: {'; '.join([*of['reasons'], *of['notices']])}"
        for of in result.get("detectors", {}).values()
        if of["reasons"] or of["notices"]
    ]


def markdown(result: dict[str, Any]) -> str:
    """The file evaluation.md."""
    lines = [f"# Exam of {result['dataset']}", "", *conclusion(result), "", data(result), ""]
    if result.get("audit"):
        lines += ["## The dataset", "", *(f"- {line}" for line in audit_lines(result)), ""]
    for title, head, rows in tables(result):
        lines += [f"## {title}", "", *_markdown_table(head, rows), ""]
        if title == "Detectors" and verdict_lines(result):
            lines += [*(f"- {line}" for line in verdict_lines(result)), ""]
    if "skipped" in result.get("root_cause", {}):
        lines += ["## Root causes", "", f"Skipped: {result['root_cause']['skipped']}.", ""]
    return "\n".join(lines)


def _markdown_table(head: Row, rows: list[Row]) -> Row:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (head, *rows)]
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    return [lines[0], "|" + "---|" * len(head), *lines[1:]]


def terminal(result: dict[str, Any]) -> str:
    """What is printed at the end."""
    lines = [data(result), ""]
    for title, head, rows in tables(result):
        if title in (
            "Detectors",
            "Injections noticed",
            "What the offered load tells",
            "Root causes",
        ):
            lines += [title, *aligned(head, rows), ""]
    lines += [*audit_lines(result), *verdict_lines(result)]
    if "skipped" in result.get("root_cause", {}):
        lines.append(f"Root causes: {result['root_cause']['skipped']}")
    return "\n".join([*lines, "", *conclusion(result)])


def aligned(head: Row, rows: list[Row]) -> list[str]:
    """A table as lines of text."""
    every = [head, *rows]
    widths = [max(len(row[place]) for row in every) for place in range(len(head))]
    return [
        (
            "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        ).rstrip()
        for row in every
    ]
