"""Pictures as SVG, in the colours of the page they stand in (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH = 560.0
_LABELS = 190.0
_ROW = 24.0
_COLOURS = 7
"""Classes `c0` to `c6` of the style sheet."""


@dataclass(frozen=True)
class Bar:
    """A bar with its interval."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    good: bool = True


def bars(
    rows: Sequence[Bar], reference: float | None, axis: tuple[float, float] = (0.0, 1.0)
) -> str:
    """Bars that lie, one below the other, with a dotted line at a value to beat."""
    height = _ROW * len(rows) + 24
    least, most = axis

    def x(value: float) -> float:
        share = (min(max(value, least), most) - least) / (most - least)
        return _LABELS + share * (_WIDTH - _LABELS - 50)

    parts = []
    for place, row in enumerate(rows):
        y = place * _ROW + 4
        parts.append(_text(_LABELS - 8, y + 12, row.name, "end"))
        if row.value is None:
            parts.append(_text(_LABELS + 4, y + 12, "no scores", "start", "faint"))
            continue
        begin, end = sorted((x(max(0.0, least)), x(row.value)))
        kind = "good" if row.good else "bad"
        parts.append(
            f'<rect class="bar {kind}" x="{begin:.1f}" y="{y}" width="{max(1.0, end - begin):.1f}" '
            f'height="15"><title>{escape(row.name)}: {row.value:.3f}</title></rect>'
        )
        if row.low is not None and row.high is not None:
            parts.append(_line(x(row.low), y + 7.5, x(row.high), y + 7.5, "interval"))
        right = max(x(row.value), x(row.high if row.high is not None else row.value))
        parts.append(_text(right + 5, y + 12, f"{row.value:.2f}", "start"))
    bottom = _ROW * len(rows) + 2
    parts.append(_line(x(max(0.0, least)), 0, x(max(0.0, least)), bottom, "axis"))
    if reference is not None:
        parts.append(_line(x(reference), 0, x(reference), bottom, "reference"))
        parts.append(_text(x(reference), bottom + 14, f"{reference:.2f}", "middle", "faint"))
    return _svg(_WIDTH, height, parts)


def curves(
    at: Sequence[float],
    lines: Sequence[tuple[str, Sequence[float]]],
    reference: Sequence[float | None],
) -> str:
    """Lines over an axis from 0 to 1, each with its name below."""
    side, left, top = 300.0, 40.0, 8.0

    def path(values: Sequence[float | None], kind: str, name: str) -> str:
        points = " ".join(
            f"{left + place * side:.1f},{top + (1 - value) * side:.1f}"
            for place, value in zip(at, values, strict=True)
            if value is not None
        )
        told = f"<title>{escape(name)}</title>"
        return f'<polyline class="{kind}" points="{points}">{told}</polyline>'

    parts = [_line(left, top + side, left + side, top + side, "axis")]
    parts.append(_line(left, top, left, top + side, "axis"))
    for tick in (0.0, 0.5, 1.0):
        parts.append(_text(left - 6, top + (1 - tick) * side + 4, f"{tick:g}", "end", "faint"))
        parts.append(_text(left + tick * side, top + side + 15, f"{tick:g}", "middle", "faint"))
    parts.append(path(reference, "reference", "random scores"))
    for place, (name, values) in enumerate(lines):
        kind = f"c{place % _COLOURS}"
        parts.append(path(values, f"curve {kind}", name))
        y = top + 14 + place * 20
        parts.append(_line(left + side + 16, y - 4, left + side + 36, y - 4, f"curve {kind}"))
        parts.append(_text(left + side + 42, y, name, "start"))
    return _svg(_WIDTH, top + side + 24, parts)


def grid(
    columns: Sequence[str], rows: Sequence[str], values: Sequence[Sequence[float | None]]
) -> str:
    """A table of shares from 0 to 1, the darker the higher; `values` by column."""
    cell = (_WIDTH - _LABELS) / max(1, len(columns))
    top = 74.0
    parts = []
    for place, name in enumerate(columns):
        x = _LABELS + (place + 0.5) * cell
        parts.append(
            f'<text class="small" text-anchor="start" '
            f'transform="translate({x - 4:.1f},{top - 6}) rotate(-25)">{escape(name)}</text>'
        )
    for line, name in enumerate(rows):
        y = top + line * _ROW
        parts.append(_text(_LABELS - 8, y + 16, name, "end"))
        for place in range(len(columns)):
            value = values[place][line]
            x = _LABELS + place * cell
            parts.append(
                f'<rect class="cell" x="{x + 1:.1f}" y="{y + 1:.1f}" width="{cell - 2:.1f}" '
                f'height="{_ROW - 2}" fill-opacity="{0.05 + 0.75 * (value or 0.0):.2f}"/>'
            )
            told = "–" if value is None else f"{value:.2f}"
            parts.append(_text(x + cell / 2, y + 16, told, "middle"))
    return _svg(_WIDTH + 60, top + len(rows) * _ROW + 4, parts)


def histograms(of: Sequence[tuple[str, Sequence[tuple[str, int]]]]) -> str:
    """One small histogram for each name, all with the same axes."""
    names = max((steps for _, steps in of), key=len, default=[])
    most = max((count for _, steps in of for _, count in steps), default=1) or 1
    width = (_WIDTH - _LABELS) / max(1, len(names))
    high = 44.0
    parts = []
    for place, (name, steps) in enumerate(of):
        base = (place + 1) * (high + 8)
        parts.append(_text(_LABELS - 8, base - 12, name, "end"))
        parts.append(_line(_LABELS, base, _WIDTH, base, "axis"))
        # Those without an alert stand last, whatever the longest delay is.
        shown = [*enumerate(steps[:-1]), (len(names) - 1, steps[-1])]
        for step, (label, count) in shown:
            if not count:
                continue
            tall = (high - 14) * count / most
            kind = "bad" if label == "none" else "good"
            x = _LABELS + step * width
            parts.append(
                f'<rect class="bar {kind}" x="{x + 1:.1f}" y="{base - tall:.1f}" '
                f'width="{max(1.0, width - 2):.1f}" height="{tall:.1f}"/>'
            )
            parts.append(_text(x + width / 2, base - tall - 3, str(count), "middle", "small"))
    bottom = len(of) * (high + 8) + 14
    every = max(1, len(names) // 12)
    for step, (label, _) in enumerate(names):
        if (step % every == 0 and step < len(names) - 1) or label == "none":
            x = _LABELS + (step + (0.5 if label == "none" else 0.0)) * width
            parts.append(_text(x, bottom, label, "middle", "faint"))
    return _svg(_WIDTH, bottom + 8, parts)


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    of_kind = f' class="{kind}"' if kind else ""
    return f'<text{of_kind} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
