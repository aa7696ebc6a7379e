"""The report: one page that asks for nothing, hides no number, names no user and runs nobody's script."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import pytest

from seqrec_plugin.preparing.findings import Findings, Guess, Step, measure
from seqrec_plugin.preparing.report import html, shown
from tests import chromium
from tests.preparing import shop_log

VOID = {"meta", "br", "link", "img", "input"}
HOSTILE = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Every element with its attributes and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.feed(text)
        assert not self._open, f"not closed: {self._open[-1][:2]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = (tag, dict(attrs), [])
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element[2].append(data)

    def texts(self, tag: str) -> list[str]:
        return [" ".join("".join(text).split()) for name, _, text in self.elements if name == tag]


STEPS = [Step("read", "All rows.", 5_000, 300, 120, 7), Step("k-core", "To the fixed point.", 4_321, 290, 110, 679)]


@pytest.fixture(scope="module")
def findings() -> Findings:
    connection = duckdb.connect(config={"threads": 1})
    shop_log.fill(connection)
    connection.execute("ALTER TABLE events ADD COLUMN number_0 DOUBLE; UPDATE events SET number_0 = line % 97")
    connection.execute("UPDATE events SET item = ? WHERE item = (SELECT mode(item) FROM events)", [HOSTILE])
    connection.execute(
        "UPDATE events SET behavior = ? WHERE behavior = 'favourite'", ['"><img src=x onerror=alert(1)>']
    )
    connection.execute("CREATE TABLE rejects AS SELECT 'f' AS file, 1 AS line, ? AS reason, '' AS text", [HOSTILE])
    return measure(
        connection,
        STEPS,
        name=f"shop{HOSTILE}",
        files=[f"{HOSTILE}.csv"],
        numbers=[HOSTILE],
        guesses=[Guess("user", HOSTILE, HOSTILE)],
        notes=[HOSTILE],
    )


@pytest.fixture(scope="module")
def page(findings: Findings) -> Page:
    return Page(html(findings))


def test_it_is_the_same_bytes_for_the_same_findings(findings):
    assert html(findings) == html(Findings.decode(findings.encode()))


def test_it_asks_for_nothing_from_anywhere(findings, page):
    assert not re.search(r"https?:|//|@import|url\(", html(findings))
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _, _ in page.elements}
    assert not [name for _, attrs, _ in page.elements for name in attrs if name in ("src", "href") or name[:2] == "on"]


def test_hostile_names_are_text(page):
    assert "".join("".join(text) for tag, _, text in page.elements if tag == "html").count(HOSTILE) >= 7


def test_every_chart_says_in_words_what_it_shows_and_has_its_numbers(page):
    charts = [attrs for tag, attrs, _ in page.elements if tag == "svg"]
    ids = {attrs["id"]: "".join(text) for _, attrs, text in page.elements if "id" in attrs}
    assert len(charts) == 10
    for attrs in charts:
        title, description = attrs["aria-labelledby"].split()
        assert attrs["role"] == "img"
        assert ids[title] and ids[description]
    figures = [text for tag, _, text in page.elements if tag == "figure"]
    assert len(figures) == len(charts)
    assert sum(tag == "details" for tag, _, _ in page.elements) == len(charts)


def test_every_step_is_in_the_table_with_its_counts(page):
    rows = page.texts("tr")
    for step in STEPS:
        (row,) = [row for row in rows if row.startswith(f"{step.name} {step.why}"[: len(step.name)] + step.why)]
        for number in (step.events, step.users, step.items, step.removed):
            assert f"{number:,}" in row


def test_warnings_stand_there(findings, page):
    assert len(page.texts("li")) == len(findings.warnings) > 1


def test_no_user_is_named_and_no_item_that_few_know(findings):
    for text in (html(findings), findings.encode().decode()):
        assert not re.search(r"user-\d", text)
        named = set(re.findall(r"sku-\d+", text))
        assert named <= {one.item for one in findings.popularity.top}
    assert all(one.users >= 5 for one in findings.popularity.top)


def test_a_log_of_few_users_names_no_item():
    connection = duckdb.connect(config={"threads": 1})
    shop_log.table(connection, user=list("aabb"), item=["sku-1", "sku-2", "sku-1", "sku-1"], time=[1, 2, 3, 4])
    found = measure(connection)
    assert "sku-" not in html(found) + found.encode().decode()


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_hardly_any_events_still_make_a_page(rows):
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("CREATE TABLE events (line BIGINT, user VARCHAR, item VARCHAR, time BIGINT)")
    connection.execute(f"INSERT INTO events SELECT i, 'u', 'i' || i, i FROM range({rows}) t(i)")
    for positions in (False, True):
        Page(html(measure(connection, name="tiny", positions=positions)))


def test_what_cannot_be_seen_is_written_out():
    assert shown("a\u202eb\x00\n") == "a\\u202eb\\u0000\\u000a"
    assert shown("苹果 é") == "苹果 é"
    assert shown("x" * 200) == "x" * 80 + "…"


def _luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2.1 defines it."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    channels = [int(digits[n : n + 2], 16) / 255 for n in (0, 2, 4)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(
    ("front", "back", "least"),
    [
        *(("ink", back, 7) for back in ("paper", "card", "tint", "warm-tint")),
        *(("quiet", back, 4.5) for back in ("paper", "card")),
        ("accent", "card", 4.5),
        ("accent", "paper", 4.5),
        ("pale", "card", 3),
    ],
)
def test_what_is_written_stands_out_in_light_and_dark(findings, dark, front, back, least):
    """WCAG 2.1: 4.5 for text, 3 for what is drawn."""
    light, night = re.findall(r":root \{(.*?)\}", html(findings), re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#\w+);", night if dark else light))
    first, second = sorted((_luminance(colours[front]), _luminance(colours[back])), reverse=True)
    assert (first + 0.05) / (second + 0.05) >= least


@pytest.mark.skipif(chromium.find() is None, reason="chromium is missing: apt-get install chromium")
@pytest.mark.xdist_group("web")
def test_a_browser_shows_it_without_complaint_and_it_fits_a_phone(findings: Findings, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(html(findings), encoding="utf-8")
    browser = chromium.Chromium(str(chromium.find()), tmp_path / "profile")
    try:
        for width, dark in ((390, True), (1280, False)):
            browser.open((tmp_path / "report.html").as_uri(), width=width, dark=dark)
            browser.wait("document.readyState == 'complete' && !!document.querySelector('footer')")
            assert browser.run("document.documentElement.scrollWidth") <= width
            assert browser.run(
                "[...document.querySelectorAll('svg')].every(s => s.getBoundingClientRect().width > 250)"
            )
            # No text of a chart is cut off by the edge of its card.
            assert (
                browser.run(
                    "[...document.querySelectorAll('svg text')].filter(t => {"
                    " const a = t.getBoundingClientRect(), b = t.closest('.card').getBoundingClientRect();"
                    " return a.left < b.left || a.right > b.right; }).map(t => t.textContent)"
                )
                == []
            )
        assert browser.complaints() == []
        assert {url for url in browser.requests() if not url.startswith(("file:", "about:"))} == set()
    finally:
        browser.close()
