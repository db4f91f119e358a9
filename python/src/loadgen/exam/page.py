"""The result of an exam as one page that needs no network: pictures first, all figures below."""

from __future__ import annotations

from html import escape
from importlib import resources
from typing import TYPE_CHECKING, Any

from loadgen.exam import picture, text

if TYPE_CHECKING:
    from collections.abc import Sequence

_BIN_S = 5.0


def html(result: dict[str, Any]) -> str:
    """The whole page."""
    style = resources.files("loadgen.exam").joinpath("page.css").read_text(encoding="utf-8")
    parts = [_head(result), _audit(result)]
    if result.get("detectors"):
        parts += _pictures(result)
    parts += [_table(title, head, rows) for title, head, rows in text.tables(result)]
    if "skipped" in result.get("root_cause", {}):
        skipped = escape(result["root_cause"]["skipped"])
        parts.append(f"<section><h2>Root causes</h2><p>Skipped: {skipped}.</p></section>")
    title = escape(f"Exam of {result['dataset']}")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Nothing may run or be fetched, whatever a name in the dataset looks like.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{title}</title>\n<style>\n{style}</style>\n</head>\n"
        f'<body>\n<main id="page">\n{"".join(parts)}</main>\n</body>\n</html>\n'
    )


def _head(result: dict[str, Any]) -> str:
    state = "good" if result["passed"] else "bad"
    said = "".join(f"<li>{escape(line)}</li>" for line in result["why"] if line)
    return (
        f"<header><h1>Exam of {escape(result['dataset'])}</h1>"
        f'<p class="verdict {state}">{"Passed" if result["passed"] else "Not passed"}</p>'
        f"<ul>{said}</ul><p>{escape(text.data(result))}</p></header>\n"
    )


def _audit(result: dict[str, Any]) -> str:
    checks = result.get("audit")
    if not checks:
        return ""
    rows = "".join(
        f'<tr><td>{escape(check["title"])}</td><td class="{"good" if check["passed"] else "bad"}">'
        f"{'yes' if check['passed'] else 'no'}</td><td>{escape('; '.join(check['told']))}</td></tr>"
        for check in checks
    )
    return f"<section><h2>The dataset</h2><table><tbody>{rows}</tbody></table></section>\n"


def _pictures(result: dict[str, Any]) -> list[str]:
    found = list(result["detectors"].values())
    scored = [of for of in found if of["curves"]]
    honest = [of for of in found if not of["reference"]] or found
    parts = [
        _figure(
            "AUC-ROC",
            "Beside 0.5, which random scores have. The line is the 95 % interval.",
            picture.bars(
                [_bar(of, "auc_roc", of["auc_roc_low"], of["auc_roc_high"]) for of in found], 0.5
            ),
        ),
        _figure(
            "F1",
            "Beside the floor: the F1 of a detector that flags everything.",
            picture.bars([_bar(of, "f1") for of in found], found[0]["f1_floor"]),
        ),
    ]
    if scored:
        parts += _curves(scored)
    parts.append(
        _figure(
            "Recall by anomaly type",
            "The share of a type's buckets that is flagged.",
            picture.grid(
                [of["title"] for of in honest],
                [family["anomaly_type"] for family in honest[0]["families"]],
                [[family["recall"] for family in of["families"]] for of in honest],
            ),
        )
    )
    delays = [(of["title"], of["detection"]) for of in honest]
    parts.append(
        _figure(
            "Delay from the injection to the first alert",
            f"Injections by delay, in steps of {_BIN_S:g} s; last those that went unnoticed.",
            picture.histograms(
                [
                    (title, histogram(of["delays_s"], of["injections"] - of["detected"]))
                    for title, of in delays
                ]
            ),
        )
    )
    of_leaks = text.check_named(result, "leaks")
    if of_leaks:
        parts.append(_leaks(of_leaks))
    return ['<div class="figures">', *parts, "</div>\n"]


def _bar(
    of: dict[str, Any], what: str, low: float | None = None, high: float | None = None
) -> picture.Bar:
    return picture.Bar(of["title"], of[what], low, high, of["verdict"] == "PASS")


def _curves(scored: Sequence[dict[str, Any]]) -> list[str]:
    at = scored[0]["curves"]["at"]

    def lines(name: str) -> list[tuple[str, list[float]]]:
        return [(of["title"], of["curves"][name]) for of in scored]

    p = scored[0]["pr_auc_chance"]
    return [
        _figure(
            "ROC curve",
            "Recall over the false positive rate, mean of the folds. Dotted: random scores.",
            picture.curves(at, lines("recall_by_false_positive_rate"), at),
        ),
        _figure(
            "Precision and recall",
            "Precision over recall, mean of the folds. Dotted: random scores.",
            picture.curves(at, lines("precision_by_recall"), [p for _ in at]),
        ),
    ]


def _leaks(check: dict[str, Any]) -> str:
    bars = [
        picture.Bar(
            f"{leak['source'].replace('_', ' ')} → {leak['target']}",
            leak["balanced_accuracy"] - leak["chance"],
            leak["low"] - leak["chance"],
            leak["high"] - leak["chance"],
            leak["result"] == "clean",
        )
        for leak in check["figures"]["leaks"]
        if leak["balanced_accuracy"] is not None
    ]
    return _figure(
        "What the offered load tells of the labels",
        "Balanced accuracy above chance, with 95 % bounds. Dotted: the most that is allowed.",
        picture.bars(bars, check["figures"]["margin"], (-0.25, 1.0)),
    )


def histogram(delays: Sequence[float], unnoticed: int) -> list[tuple[str, int]]:
    """Delays counted in steps; last those without one."""
    last = max([*delays, 30.0])
    steps = int(last // _BIN_S) + 1
    counts = [0] * steps
    for delay in delays:
        counts[int(delay // _BIN_S)] += 1
    named = [(f"{place * _BIN_S:g}", count) for place, count in enumerate(counts)]
    return [*named, ("none", unnoticed)]


def _figure(title: str, told: str, svg: str) -> str:
    return (
        f"<figure><figcaption><h2>{escape(title)}</h2><p>{escape(told)}</p></figcaption>"
        f"{svg}</figure>\n"
    )


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return (
        f"<section><h2>{escape(title)}</h2>"
        f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
        "</section>\n"
    )
