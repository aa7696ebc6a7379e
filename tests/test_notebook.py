"""The notebook runs, and what is stored in it is a run's and says nothing of a machine."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[1] / "docs"
STORED = json.loads((DOCS / "benchmark.ipynb").read_text(encoding="utf-8"))
MODELS = ("LSTM4Rec", "GRU4RecTied", "FPMC")


def outputs(notebook: Any) -> list[dict[str, Any]]:
    return [output for cell in notebook["cells"] for output in cell.get("outputs", ())]


def check(notebook: Any) -> None:
    """A table with each model, and a plot."""
    data = [output["data"] for output in outputs(notebook) if "data" in output]
    table = "".join(next(shown["text/plain"] for shown in data if "text/html" in shown))
    assert all(re.search(rf"^{model} +[0.\d]+ ", table, re.MULTILINE) for model in MODELS) and "ndcg@10" in table
    assert any(len(shown.get("image/png", "")) > 10_000 for shown in data)


def test_it_runs() -> None:
    for package in ("nbclient", "ipykernel", "matplotlib"):
        pytest.importorskip(package, reason=f"{package} is missing: install the extra [dev]")
    spec = importlib.util.spec_from_file_location("run_notebook", DOCS / "run_notebook.py")
    assert spec and spec.loader
    run_notebook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run_notebook)
    check(run_notebook.run("EPOCHS = 1"))


def test_it_shows_a_run() -> None:
    check(STORED)
    assert not any(output.get("name") == "stderr" for output in outputs(STORED))


def test_it_names_no_place_of_a_machine() -> None:
    for cell in STORED["cells"]:
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop("image/png", None)
        assert set(cell["metadata"]) <= {"tags"}
    text = json.dumps(STORED)
    assert not re.findall(r"(?:[\s\"'(=]|\\n)(?:/|[A-Z]:\\\\)\w[\w.-]*[/\\][^\"]*", text)
