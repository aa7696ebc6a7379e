"""Three kinds of chart as inline SVG, each with a title, a description and the numbers as a table.

Colours are CSS variables of the page around, so that one drawing serves light and dark. A drawing is 360 units wide, as
a card of the page is 320 to 430 pixels: text stays readable on a phone.
"""

from __future__ import annotations

import html
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

_WIDTH = 360
_ROW = 25


@dataclass(frozen=True)
class Chart:
    """A drawing, what it shows in words, and its numbers.

    Attributes:
        name: an id, of letters and hyphens.
        title: what is shown.
        description: what there is to see.
        svg: the drawing, whose texts are escaped.
        head, rows: the numbers as a table.
    """

    name: str
    title: str
    description: str
    svg: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Value:
    """One bar: its label, how long it is, what stands beside it, how far its value may be off, and its class."""

    label: str
    size: float
    text: str
    low: float | None = None
    high: float | None = None
    kind: str = "bar"


def bars(name: str, title: str, description: str, values: Sequence[Value], head: Sequence[str]) -> Chart:
    """Lying bars, one a row, each with its label before and its text behind it.

    Args:
        name, title, description: see `Chart`.
        values: from top to bottom.
        head: two column names for the table.
    """
    left = 14 + 6.6 * max((_width(_cut(value.label)) for value in values), default=0)
    right = 14 + 6.8 * max((len(value.text) for value in values), default=0)
    room = _WIDTH - left - right
    largest = max((value.high or value.size for value in values), default=0) or 1
    drawn = []
    for n, value in enumerate(values):
        y = n * _ROW + _ROW / 2
        length = value.size / largest * room
        drawn.append(
            _tag("text", x=0, y=y + 4, text=_cut(value.label), kind="label")
            + _tag("rect", x=left, y=y - 8, width=max(length, 1), height=16, rx=3, kind=value.kind, hint=_said(value))
        )
        end = length
        if value.low is not None and value.high is not None:
            low, high = (left + one / largest * room for one in (value.low, value.high))
            ends = "".join(f"M{_n(one)} {_n(y - 4)}V{_n(y + 4)}" for one in (low, high))
            drawn.append(_tag("path", d=f"M{_n(low)} {_n(y)}H{_n(high)}{ends}", kind="spread"))
            end = max(length, high - left)
        drawn.append(_tag("text", x=left + end + 7, y=y + 4, text=value.text, kind="value"))
    return Chart(
        name,
        title,
        description,
        _svg(name, title, description, len(values) * _ROW, drawn),
        tuple(head),
        tuple((value.label, value.text) for value in values),
    )


def columns(
    name: str, title: str, description: str, values: Sequence[Value], head: Sequence[str], labels: Sequence[int]
) -> Chart:
    """Standing bars, one beside the other.

    Args:
        name, title, description: see `Chart`.
        values: from left to right.
        head: two column names for the table.
        labels: the numbers of the values whose label is written below.
    """
    ticks = _ticks(max((value.size for value in values), default=0))
    left, top, bottom, height = 10 + 6.8 * max(len(_short(tick)) for tick in ticks), 8, 24, 190
    room, tall = _WIDTH - left, height - top - bottom
    step = room / max(len(values), 1)
    drawn = []
    for tick in ticks:
        y = top + tall * (1 - tick / ticks[-1])
        drawn.append(_tag("path", d=f"M{_n(left)} {_n(y)}H{_WIDTH}", kind="line"))
        drawn.append(_tag("text", x=left - 6, y=y + 4, text=_short(tick), kind="tick end"))
    gap = min(step * 0.2, 3)
    for n, value in enumerate(values):
        length = value.size / ticks[-1] * tall
        x, y = left + n * step + gap / 2, top + tall - length
        drawn.append(_tag("rect", x=x, y=y, width=step - gap, height=length, kind="bar", hint=_said(value)))
    for n in labels:
        x = left + (n + 0.5) * step
        half = 3.3 * len(values[n].label)
        # A label at the edge would be cut off there.
        x, side = (_WIDTH, " end") if x + half > _WIDTH else (left, "") if x - half < left else (x, " middle")
        drawn.append(_tag("text", x=x, y=height - 6, text=values[n].label, kind=f"tick{side}"))
    return Chart(
        name,
        title,
        description,
        _svg(name, title, description, height, drawn),
        tuple(head),
        tuple((value.label, value.text) for value in values),
    )


def curve(
    name: str,
    title: str,
    description: str,
    points: Sequence[tuple[float, float]],
    head: Sequence[str],
    axes: Sequence[str],
) -> Chart:
    """A rising curve of shares from (0, 0) to (1, 1), over the diagonal where all are alike.

    Args:
        name, title, description: see `Chart`.
        points: (x, y), rising.
        head: two column names for the table.
        axes: what stands along x and along y.
    """
    left, top, bottom, height = 44, 20, 40, 260
    room, tall = _WIDTH - left - 8, height - top - bottom

    def at(x: float, y: float) -> str:
        return f"{_n(left + x * room)} {_n(top + (1 - y) * tall)}"

    drawn = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        drawn.append(_tag("path", d=f"M{at(0, share)}L{at(1, share)}", kind="line"))
        y = top + (1 - share) * tall
        drawn.append(_tag("text", x=left - 6, y=y + 4, text=f"{share:.0%}", kind="tick end"))
        side = " end" if share == 1 else " middle" if share else ""
        drawn.append(_tag("text", x=left + share * room, y=height - 24, text=f"{share:.0%}", kind=f"tick{side}"))
    path = "L".join(at(x, y) for x, y in [(0, 0), *points])
    drawn += [
        _tag("path", d=f"M{path}L{at(1, 0)}Z", kind="area"),
        _tag("path", d=f"M{at(0, 0)}L{at(1, 1)}", kind="even"),
        _tag("path", d=f"M{path}", kind="curve"),
        _tag("text", x=_WIDTH - 8, y=height - 4, text=axes[0], kind="tick end"),
        _tag("text", x=0, y=10, text=axes[1], kind="tick"),
    ]
    rows = tuple((f"{x:.1%}", f"{y:.1%}") for x, y in points)
    return Chart(name, title, description, _svg(name, title, description, height, drawn), tuple(head), rows)


def _svg(name: str, title: str, description: str, height: float, drawn: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_n(height)}" role="img" aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{html.escape(title)}</title><desc id="{name}-desc">{html.escape(description)}</desc>'
        f"{''.join(drawn)}</svg>"
    )


def _tag(name: str, /, *, text: str = "", kind: str = "", hint: str = "", d: str = "", **places: float) -> str:
    """One element; texts are escaped, and all else is ours."""
    given = f' d="{d}"' if d else "".join(f' {key}="{_n(value)}"' for key, value in places.items())
    inner = html.escape(text) if text else f"<title>{html.escape(hint)}</title>" if hint else ""
    return f'<{name} class="{kind}"{given}>{inner}</{name}>'


def _said(value: Value) -> str:
    return f"{value.label}: {value.text}"


def _n(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")


def _ticks(largest: float) -> list[float]:
    """Three or four round numbers from 0 to not less than the largest."""
    if largest <= 0:
        return [0, 1]
    power = 10 ** math.floor(math.log10(largest / 3))
    step = next(one * power for one in (1, 2, 2.5, 5, 10) if one * power * 3.5 >= largest)
    step = max(step, 1)
    return [n * step for n in range(math.ceil(largest / step) + 1)]


def _short(number: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"


def _width(text: str) -> int:
    """How many Latin letters wide a text is; Chinese ones are two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _cut(text: str, most: int = 18) -> str:
    if _width(text) <= most:
        return text
    kept = ""
    while _width(kept) + _width(text[len(kept)]) < most:
        kept += text[len(kept)]
    return kept + "…"
