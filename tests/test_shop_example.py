"""The shop's log of examples/shop: the same on every run, and its dirt is found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SHOP = Path(__file__).parent.parent / "examples/shop"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shop") / "events.csv"
    subprocess.run([sys.executable, SHOP / "make.py", path], check=True, capture_output=True)
    return path


@pytest.fixture(scope="module")
def report(log: Path) -> dict:
    output = log.parent / "shop"
    command = [
        sys.executable,
        "-m",
        "seqrec_plugin.cli",
        "prepare",
        log,
        "-o",
        output,
        "--recipe",
        SHOP / "recipe.yaml",
    ]
    subprocess.run(command, check=True, capture_output=True)
    return json.loads((output / "report.json").read_text(encoding="utf-8"))


def test_the_log_is_the_same_on_every_run(log: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, SHOP / "make.py", tmp_path / "again.csv"], check=True, capture_output=True)
    assert (tmp_path / "again.csv").read_bytes() == log.read_bytes()


def test_no_line_is_lost(log: Path, report: dict) -> None:
    lines = log.read_bytes().decode("gb18030").count("\r\n") - 1
    read = report["steps"][0]
    assert read["events"] + read["removed"] == lines


def test_each_kind_of_dirt_is_found(log: Path, report: dict) -> None:
    removed = {step["name"]: step["removed"] for step in report["steps"]}
    for name in ("read", "impossible times", "duplicates", "repeats", "values of price", "items of few users"):
        assert removed[name] > 0, name
    inter = (log.parent / "shop/shop.inter").read_text(encoding="utf-8")
    assert "crawler-" not in inter
    behaviors = {line.split("\t")[4] for line in inter.splitlines()[1:]}
    assert behaviors == {"view", "favourite", "cart", "purchase"}
