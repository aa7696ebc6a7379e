"""Findings → `report.html`: one page that needs no network and no script, the same bytes for the same findings."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from importlib import resources

from seqrec_plugin.errors import missing_extra
from seqrec_plugin.preparing import charts
from seqrec_plugin.preparing.charts import Chart, Value
from seqrec_plugin.preparing.distribution import Bin, Distribution
from seqrec_plugin.preparing.findings import Findings
from seqrec_plugin.preparing.popularity import COLD, MIN_USERS_SHOWN
from seqrec_plugin.preparing.signal import TOP, Signal

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_HOURS = tuple(f"{hour:02}:00" for hour in range(24))
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
    return page.from_string(text).render(
        f=findings,
        charts={chart.name: chart for chart in _charts(findings)},
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
        facts.append(("from first to last", _days(found.activity.days)))
    return facts


def _charts(found: Findings) -> list[Chart]:
    """Every chart that the findings have numbers for."""
    return [*_of_users(found), *_of_items(found), *_of_behaviors(found), *_of_order(found), *_of_times(found)]


def _of_users(found: Findings) -> Iterator[Chart]:
    if found.lengths:
        told = f"Half of the users have at most {_count(found.lengths.p50)} events,"
        told += f" 95% at most {_count(found.lengths.p95)}."
        yield charts.bars("lengths", "Events a user", told, _bins(found.lengths, _whole), ("events", "users"))
    if found.items_per_user:
        told = f"Half of the users have touched at most {_count(found.items_per_user.p50)} different items,"
        told += f" 95% at most {_count(found.items_per_user.p95)}."
        values = _bins(found.items_per_user, _whole)
        yield charts.bars("variety", "Different items a user", told, values, ("items", "users"))
    if found.gaps and found.gaps.seconds:
        median, far = _duration(found.gaps.seconds.p50), _duration(found.gaps.seconds.p95)
        told = f"Half of a user's successive events are at most {median} apart, 95% at most {far}."
        yield charts.bars("gaps", "Time between events", told, _bins(found.gaps.seconds, _span), ("apart", "pairs"))


def _of_items(found: Findings) -> Iterator[Chart]:
    if found.popularity is None:
        return
    curve, gini = found.popularity.curve, found.popularity.gini
    tenth = next(events for items, events in curve if items >= 0.1)
    told = f"The most popular tenth of the items has {_share(tenth)} of the events (Gini {gini:.2f})."
    head, axes = ("share of items", "share of events"), ("items, most popular first", "share of events")
    yield charts.curve("popularity", "Popularity", told, curve, head, axes)


def _of_behaviors(found: Findings) -> Iterator[Chart]:
    if found.funnel is None:
        return
    kept = found.funnel.all[:_BEHAVIORS]
    rest = f" The {len(kept)} most frequent of {len(found.funnel.all)}." if len(kept) < len(found.funnel.all) else ""
    for name, title, told, total, counts in (
        ("acts", "Events by behaviour", "How often each was done.", found.events, [one.events for one in kept]),
        ("actors", "Users by behaviour", "How many users did each once or more.", found.users, [o.users for o in kept]),
    ):
        values = [
            Value(shown(one.name, 40), count, f"{_count(count)} · {_share(count / total)}")
            for one, count in zip(kept, counts, strict=True)
        ]
        yield charts.bars(name, title, told + rest, values, ("behaviour", title.split()[0].lower()))


def _of_order(found: Findings) -> Iterator[Chart]:
    if found.signal is None:
        return
    one = found.signal
    told = (
        f"The next item is among the {TOP} that most often followed the one before it in {_share(one.hit)} of the"
        f" cases; with each user's events shuffled, in {_share(one.shuffled)} ({_share(one.low)} to"
        f" {_share(one.high)} over the shuffles)."
    )
    values = [
        Value("true order", one.hit, _share(one.hit)),
        Value("shuffled", one.shuffled, _share(one.shuffled), one.low, one.high, kind="bar pale"),
    ]
    yield charts.bars("signal", "Next item found", told, values, ("order", "next item found"))


def _of_times(found: Findings) -> Iterator[Chart]:
    activity = found.activity
    if activity is None:
        return
    if activity.over_time:
        values = [Value(_start(one.start, activity.unit), one.events, _count(one.events)) for one in activity.over_time]
        busiest = max(values, key=lambda value: value.size)
        when = f"on {busiest.label}" if activity.unit == "day" else f"in the {activity.unit} of {busiest.label}"
        told = f"Most {when}: {busiest.text}. In UTC."
        last = len(values) - 1
        labels = sorted({0, last} | ({last // 2} if last > 3 else set()))
        head = (f"{activity.unit} of", "events")
        yield charts.columns("time", f"Events by {activity.unit}", told, values, head, labels)
    for name, title, counts, names, shown_at in (
        ("hours", "Events by hour of the day", activity.by_hour, _HOURS, (0, 6, 12, 18)),
        ("weekdays", "Events by day of the week", activity.by_weekday, _WEEKDAYS, tuple(range(7))),
    ):
        if counts:
            values = [Value(label, count, _count(count)) for label, count in zip(names, counts, strict=True)]
            most, least = (pick(values, key=lambda value: value.size) for pick in (max, min))
            told = f"Most: {most.label} ({most.text}); fewest: {least.label} ({least.text}). In UTC."
            yield charts.columns(name, title, told, values, (name[:-1], "events"), shown_at)


def _start(time: str, unit: str) -> str:
    """When a bar begins, as exactly as its unit."""
    if unit == "hour":
        return f"{time[:10]} {time[11:13]}:00"
    return time[: {"year": 4, "month": 7}.get(unit, 10)]


def _bins(found: Distribution, label: Callable[[Bin], str]) -> list[Value]:
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


def _days(days: float) -> str:
    return f"{days:,.0f} days" if days >= 2 else _duration(days * 86_400)


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
