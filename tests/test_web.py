"""The page in a real browser: what it asks the network for, what it recommends, and that a keyboard is enough."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from seqrec_plugin import bundle, web
from seqrec_plugin.cli import main
from seqrec_plugin.errors import SeqrecError
from seqrec_plugin.runtime import Recommender
from tests import chromium

needs_page = pytest.mark.skipif(
    not (web.BUILT / "index.html").is_file(), reason="the built page is missing: make web (needs Node.js and npm)"
)
needs_browser = pytest.mark.skipif(chromium.find() is None, reason="chromium is missing: apt-get install chromium")
# One worker does it all: the browser starts once.
pytestmark = pytest.mark.xdist_group("web")

READY = "'ready' in document.documentElement.dataset"
SHOWN = "[...document.querySelectorAll('#next button')].map(b => b.dataset.item)"


def exported(*args: str | Path):
    return CliRunner().invoke(main, ["export", *map(str, args)])


# What is written


def test_an_installation_without_a_built_page_says_what_is_missing(tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(web, "BUILT", tmp_path / "nothing")
    done = exported(tiny_bundle, "--web", tmp_path / "page")
    assert done.exit_code == 2
    assert "carries no built page" in done.stderr and "make web" in done.stderr
    assert not (tmp_path / "page").exists()


def test_a_bundle_that_no_page_can_ask_is_refused(tiny_bundle, tmp_path, monkeypatch):
    built = tmp_path / "built"
    built.mkdir()
    (built / "index.html").write_text("a page")
    monkeypatch.setattr(web, "BUILT", built)
    untitled = shutil.copytree(tiny_bundle, tmp_path / "untitled")
    whole = bundle.read(untitled)
    items = json.loads(whole.contents["items.json"])
    del items["titles"]
    bundle.fill(untitled, whole.manifest, whole.contents | {"items.json": json.dumps(items).encode()})
    with pytest.raises(SeqrecError) as error:
        web.write_page(untitled, tmp_path / "page")
    assert error.value.code == "items_invalid" and "no titles" in error.value.message
    assert not (tmp_path / "page").exists()


def test_only_a_page_is_replaced_and_only_by_force(tiny_bundle, tmp_path, monkeypatch):
    built = tmp_path / "built"
    built.mkdir()
    (built / "index.html").write_text("a page")
    monkeypatch.setattr(web, "BUILT", built)
    page = tmp_path / "page"
    web.write_page(tiny_bundle, page)
    assert (page / "index.html").read_text() == "a page"
    assert Recommender.load(page / "bundle").bundle_id == Recommender.load(tiny_bundle).bundle_id
    for force in (False, True):
        if force:
            (page / "mine.txt").write_text("keep me")
        with pytest.raises(SeqrecError) as error:
            web.write_page(tiny_bundle, page, force=force)
        assert error.value.code == "output_exists"
    (page / "mine.txt").unlink()
    web.write_page(tiny_bundle, page, force=True)


# What it does


class Server:
    """The page's folder on this machine, and what was asked of it."""

    def __init__(self, folder: Path) -> None:
        asked = self.asked = []

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                asked.append(self.path)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    server = Server(folder)
    yield server
    server.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    found = chromium.find()
    assert found
    browser = chromium.Chromium(found, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def page(tiny_bundle, tmp_path_factory):
    """The page of `tiny_bundle`, whose items are titled `The <item>`."""
    path = tmp_path_factory.mktemp("page") / "page"
    web.write_page(tiny_bundle, path)
    return path


@pytest.fixture
def opened(browser, page):
    """The page, opened and ready."""
    browser.events.clear()
    with serving(page) as server:
        browser.open(server.url)
        browser.wait(READY)
        yield server


def expected(path, *history):
    return [item.item for item in Recommender.load(path).recommend(history).items]


def search(browser, words):
    browser.run("document.getElementById('search').focus()")
    browser.type(words)
    browser.wait("!document.getElementById('found').hidden")


def picked(browser, count):
    browser.wait(f"document.querySelectorAll('#picks li').length === {count}")


@needs_page
@needs_browser
def test_after_it_has_loaded_nothing_is_asked_of_any_network(browser, opened, page):
    loaded = browser.requests()
    assert loaded and all(address.startswith(opened.url) for address in loaded)
    model = [address for address in loaded if address.endswith("model.onnx")]
    assert len(model) == 1  # once
    assert not any(address.endswith("golden.json") for address in loaded)  # what is not needed does not come
    asked = list(opened.asked)
    for count in range(1, 6):
        browser.click("#next li:nth-child(2) button")
        picked(browser, count)
    search(browser, "007")
    browser.press("Enter")
    picked(browser, 6)
    browser.click("#picks button")
    picked(browser, 5)
    browser.click("[data-language=zh]")
    browser.click("#clear")
    picked(browser, 0)
    assert browser.requests() == loaded
    assert opened.asked == asked
    kept = browser.run("Object.keys(localStorage).concat(Object.keys(sessionStorage), document.cookie || [])")
    assert kept == ["language"]  # and no history is left behind
    browser.run("localStorage.clear()")
    assert browser.complaints() == []


@needs_page
@needs_browser
def test_it_recommends_what_the_python_runtime_does(browser, opened, tiny_bundle):
    assert browser.run(SHOWN) == expected(tiny_bundle)
    history = []
    for place in (3, 1, 10, 2, 5, 1, 4, 2, 7):  # one more than max_history
        history.append(browser.run(SHOWN)[place - 1])
        browser.click(f"#next li:nth-child({place}) button")
        picked(browser, len(history))
        if len(history) <= 8:
            assert browser.run(SHOWN) == expected(tiny_bundle, *history)
        assert "one step" in browser.run("document.getElementById('took').textContent")
    del history[-1]
    browser.click("#picks li:first-child button")  # the newest one
    picked(browser, 8)
    assert browser.run(SHOWN) == expected(tiny_bundle, *history)
    assert "8 picks read anew" in browser.run("document.getElementById('took').textContent")


@needs_page
@needs_browser
def test_a_keyboard_is_enough(browser, opened, tiny_bundle):
    def focused():
        return browser.run("document.activeElement.id || document.activeElement.className")

    for _ in range(3):  # two languages, then the search
        browser.press("Tab")
    assert focused() == "search"
    browser.type("i1")
    browser.wait("document.querySelectorAll('#found [role=option]').length > 2")
    active = (
        "document.getElementById(document.getElementById('search').getAttribute('aria-activedescendant')).textContent"
    )
    first = browser.run(active)
    browser.press("ArrowDown")
    second = browser.run(active)
    assert first != second
    browser.press("ArrowUp")
    browser.press("ArrowDown")
    assert browser.run(active) == second
    browser.press("Enter")
    picked(browser, 1)
    item = second.removeprefix("The ")
    assert browser.run(SHOWN) == expected(tiny_bundle, item)
    assert browser.run("document.getElementById('search').getAttribute('aria-expanded')") == "false"
    browser.wait("document.getElementById('status').textContent.includes('added')")

    browser.press("Tab")
    assert focused() == "remove"
    for _ in range(2):  # start again, then the first recommendation
        browser.press("Tab")
    best = browser.run(SHOWN)[0]
    browser.press("Enter")
    picked(browser, 2)
    assert browser.run(SHOWN) == expected(tiny_bundle, item, best)
    # The focus stays in the list, for the next one.
    browser.wait("document.activeElement === document.querySelector('#next button')")
    outline = browser.run("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"

    browser.press("Tab", shift=True)
    browser.press("Enter")
    picked(browser, 0)
    browser.wait("document.activeElement.id === 'search'")
    browser.type("nothing is called this")
    browser.press("Enter")
    browser.press("Escape")
    assert browser.run("document.getElementById('found').hidden")
    picked(browser, 0)


@needs_page
@needs_browser
@pytest.mark.parametrize("language, text", [("zh-CN", "你的选择"), ("en-GB", "Your picks"), ("de-DE", "Your picks")])
def test_it_speaks_the_browsers_language_and_fits_a_phone(browser, page, language, text):
    with serving(page) as server:
        browser.open(server.url, width=360, height=740, language=language)
        browser.wait(READY)
        assert browser.run("document.getElementById('picks-heading').textContent") == text
        assert browser.run("document.documentElement.lang") == ("zh-CN" if language == "zh-CN" else "en")
        browser.click("#next li:nth-child(1) button")
        picked(browser, 1)
        assert browser.run("document.documentElement.scrollWidth") <= 360
        small = "[...document.querySelectorAll('button')].filter(b => b.offsetHeight && b.offsetHeight < 36).length"
        assert browser.run(small) == 0
        other = "en" if language == "zh-CN" else "zh"
        browser.click(f"[data-language={other}]")
        assert browser.run("document.getElementById('picks-heading').textContent") != text
        browser.run("localStorage.clear()")


@needs_page
@needs_browser
def test_a_changed_model_is_refused(browser, page, tmp_path):
    spoilt = shutil.copytree(page, tmp_path / "page")
    model = spoilt / "bundle" / "model.onnx"
    data = bytearray(model.read_bytes())
    data[-1] ^= 1
    model.write_bytes(data)
    with serving(spoilt) as server:
        browser.open(server.url)
        told = browser.wait("document.querySelector('.failed') && document.getElementById('loading-text').textContent")
        assert "sha256" in told
        assert browser.run("document.getElementById('main').hidden")
