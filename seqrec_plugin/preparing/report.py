"""Findings → `report.html`: one page that needs no network and no script, the same bytes for the same findings."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

from seqrec_plugin.errors import missing_extra
from seqrec_plugin.preparing.findings import Findings
from seqrec_plugin.preparing.popularity import COLD, MIN_USERS_SHOWN
from seqrec_plugin.preparing.signal import TOP

if TYPE_CHECKING:
    from seqrec_plugin.preparing.charts import Chart
    from seqrec_plugin.preparing.distribution import Bin, Distribution
    from seqrec_plugin.preparing.signal import Signal

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_UNITS = ((31_536_000.0, "y"), (86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"), (0.001, "ms"))
#: As many behaviours have a bar.
_BEHAVIORS = 12


def html(findings: Findings) -> str:
    """The report.

    Raises:
        WrongUsage: `missing_extra` without jinja2.
    """
    try:
        import jinja2
    except ImportError:
        raise missing_extra("jinja2", "prepare") from None
    text = resources.files("seqrec_plugin.preparing").joinpath("report.html").read_text(encoding="utf-8")
    page = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    page.filters |= {"count": _count, "share": _share, "shown": shown, "moment": _moment}
    charts = {chart.name: chart for chart in _charts(findings)}
    return page.from_string(text).render(
        f=findings,
        charts=charts,
        facts=_facts(findings),
        numbers=[(one, _quantiles(one.values, "{:,.4g}".format)) for one in findings.numbers],
        verdict=_verdict(findings.signal),
        min_users=MIN_USERS_SHOWN,
        cold=COLD,
        top=TOP,
    )


def shown(text: str, most: int = 80) -> str:
    """A text of somebody else's as it can stand on a page: what cannot be seen is written out, and it is not long."""
    seen = "".join(
        letter if unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") else f"\\u{ord(letter):04x}"
        for letter in text[: most + 1]
    )
    return seen if len(text) <= most else seen[:most] + "…"


def _facts(found: Findings) -> list[tuple[str, str]]:
    facts = [("events", _count(found.events)), ("users", _count(found.users)), ("items", _count(found.items))]
    if found.lengths:
        facts.append(("events a user, median", _count(found.lengths.p50)))
    if found.activity:
        facts.append(("from first to last", _duration(found.activity.days * 86_400)))
    return facts


def _charts(found: Findings) -> list[Chart]:
    """Every chart that the findings have numbers for."""
    from seqrec_plugin.preparing import charts

    def bars(name: str, title: str, told: str, values: Sequence[charts.Value], head: Sequence[str]) -> None:
        drawn.append(charts.bars(name, title, told, values, head))

    drawn: list[Chart] = []
    if found.lengths:
        told = f"Half of the users have at most {_count(found.lengths.p50)} events, 95% at most {_count(found.lengths.p95)}."
        bars("lengths", "Events a user", told, _bins(found.lengths, _whole, "users"), ("events", "users"))
    if found.items_per_user:
        told = f"Half of the users have touched at most {_count(found.items_per_user.p50)} different items."
        bars(
            "variety", "Different items a user", told, _bins(found.items_per_user, _whole, "users"), ("items", "users")
        )
    if found.popularity:
        curve = found.popularity.curve
        tenth = next((events for items, events in curve if items >= 0.1), 1.0)
        told = (
            f"The most popular tenth of the items has {_share(tenth)} of the events (Gini {found.popularity.gini:.2f})."
        )
        axes = ("items, most popular first", "share of events")
        drawn.append(charts.curve("popularity", "Popularity", told, curve, ("share of items", "share of events"), axes))
    if found.gaps and found.gaps.seconds:
        median, far = _duration(found.gaps.seconds.p50), _duration(found.gaps.seconds.p95)
        told = f"Half of a user's successive events are at most {median} apart, 95% at most {far}."
        bars("gaps", "Time between events", told, _bins(found.gaps.seconds, _span, "pairs"), ("apart", "pairs"))
    drawn += _over_time(found)
    if found.funnel:
        values = [
            charts.Value(shown(one.name, 40), one.users, f"{_count(one.users)} · {_share(one.users / found.users)}")
            for one in found.funnel.all[:_BEHAVIORS]
        ]
        told = "How many users did each at least once, and which share of all users they are."
        bars("behaviours", "Users by behaviour", told, values, ("behaviour", "users"))
    if found.signal:
        one = found.signal
        values = [
            charts.Value("true order", one.hit, _share(one.hit)),
            charts.Value("shuffled", one.shuffled, _share(one.shuffled), one.low, one.high),
        ]
        told = (
            f"The next item is among the {TOP} that most often followed the one before it in {_share(one.hit)} of the"
            f" cases; with each user's events shuffled, in {_share(one.shuffled)} ({_share(one.low)} to"
            f" {_share(one.high)} over the shuffles)."
        )
        bars("signal", "What the order tells", told, values, ("order", "next item found"))
    return drawn


def _over_time(found: Findings) -> list[Chart]:
    from seqrec_plugin.preparing import charts

    activity = found.activity
    if activity is None:
        return []
    drawn = []
    if activity.over_time:
        length = {"year": 4, "month": 7, "week": 10, "day": 10, "hour": 13}[activity.unit]
        values = [
            charts.Value(
                one.start[:length].replace("T", " ") + (":00" if activity.unit == "hour" else ""),
                one.events,
                _count(one.events),
            )
            for one in activity.over_time
        ]
        busiest = max(values, key=lambda value: value.size)
        told = f"Most events of a {activity.unit}: {busiest.text}, in that of {busiest.label}."
        last = len(values) - 1
        labels = sorted({0, last} | ({last // 2} if last > 3 else set()))
        head = (f"{activity.unit} of", "events")
        drawn.append(charts.columns("time", f"Events by {activity.unit}", told, values, head, labels))
    for name, title, counts, names, labels in (
        (
            "hours",
            "Events by hour of the day, UTC",
            activity.by_hour,
            [f"{n:02}:00" for n in range(24)],
            (0, 6, 12, 18),
        ),
        ("weekdays", "Events by day of the week, UTC", activity.by_weekday, list(_WEEKDAYS), range(7)),
    ):
        if not counts:
            continue
        values = [charts.Value(label, count, _count(count)) for label, count in zip(names, counts, strict=True)]
        busiest, calmest = (pick(values, key=lambda value: value.size) for pick in (max, min))
        told = f"Most at {busiest.label} ({busiest.text}), fewest at {calmest.label} ({calmest.text})."
        if name == "weekdays":
            told = told.replace(" at ", " on ")
        drawn.append(charts.columns(name, title, told, values, (name[:-1], "events"), labels))
    return drawn


def _bins(found: Distribution, label: Callable[[Bin], str], of: str) -> list[Any]:
    from seqrec_plugin.preparing.charts import Value

    return [
        Value(label(one), one.count, f"{_count(one.count)} · {_share(one.count / found.count)}") for one in found.bins
    ]


def _whole(one: Bin) -> str:
    """A bin of whole numbers: `3`, `10–19`, `10,000 and more`."""
    if one.high is None:
        return f"{one.low:,.0f} and more"
    return f"{one.low:,.0f}" if one.high - one.low == 1 else f"{one.low:,.0f}–{one.high - 1:,.0f}"


def _span(one: Bin) -> str:
    """A bin of seconds: `10 min – 1 h`."""
    if one.high is None:
        return f"{_duration(one.low)} and more"
    return f"under {_duration(one.high)}" if not one.low else f"{_duration(one.low)} – {_duration(one.high)}"


def _duration(seconds: float) -> str:
    if seconds <= 0:
        return "0 s"
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= size), _UNITS[-1])
    return f"{seconds / size:,.3g} {unit}"


def _quantiles(found: Distribution | None, as_text: Callable[[float], str]) -> list[str]:
    if found is None:
        return ["–"] * 7
    kept = (found.minimum, found.p05, found.p25, found.p50, found.p75, found.p95, found.maximum)
    return [as_text(value) for value in kept]


def _verdict(signal: Signal | None) -> str:
    if signal is None or not signal.enough:
        return "Too few events to say what the order tells."
    if signal.weak:
        return "The order tells little."
    return "The order tells much." if signal.hit >= 2 * signal.shuffled else "The order tells something."


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _share(share: float) -> str:
    return "under 0.1%" if 0 < share < 0.001 else f"{share:.1%}"


def _moment(time: str) -> str:
    return time.replace("T", " ").removesuffix("Z")
