"""A third party's package: pip-installed beside seqrec_plugin into a fresh environment, its models are there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = Path(__file__).parent / "example_package"
TUTORIAL = ROOT / "docs" / "your_own_model.md"
NOT_SOURCES = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "runs", "bundles", "tests")

# One worker does it all, so that the environment is made once.
pytestmark = pytest.mark.xdist_group("example_package")

SIZES = {"embedding_size": 8, "num_layers": 1, "epochs": 1, "train_batch_size": 256, "MAX_ITEM_LIST_LENGTH": 8}


class Fresh:
    """A fresh environment that holds both packages, as wheels, and finds everything else in the running one."""

    def __init__(self, folder: Path) -> None:
        self._bin = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
        self._environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        shutil.copytree(ROOT, folder / "seqrec", ignore=NOT_SOURCES)
        shutil.copytree(PACKAGE, folder / "example", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        pip = ["-m", "pip", "--disable-pip-version-check", "--quiet"]
        for source in ("seqrec", "example"):
            # Without isolation the build takes setuptools from here: no package index is asked.
            build = ["wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", folder, folder / source]
            self._run(sys.executable, *pip, *build, cwd=folder)
        venv.create(folder / "venv", with_pip=True)
        self.run("python", *pip, "install", "--no-deps", "--no-index", *folder.glob("*.whl"), cwd=folder)
        # torch, RecBole and the others; an editable seqrec_plugin there stays hidden, for its .pth is not read.
        packages = next((folder / "venv").rglob("site-packages"))
        (packages / "heavy.pth").write_text("\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}))

    def run(self, command: str, *args: str | Path, cwd: Path) -> str:
        """Run one of the environment's commands; its stdout."""
        return self._run(self._bin / command, *args, cwd=cwd)

    def _run(self, *command: str | Path, cwd: Path) -> str:
        done = subprocess.run([*map(str, command)], cwd=cwd, env=self._environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return done.stdout


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    return Fresh(tmp_path_factory.mktemp("third_party"))


def test_both_packages_are_the_installed_ones(fresh: Fresh, tmp_path: Path) -> None:
    code = "import mingru4rec, seqrec_plugin; print(mingru4rec.__file__, seqrec_plugin.__file__, sep='\\n')"
    for place in fresh.run("python", "-c", code, cwd=tmp_path).split():
        assert "third_party" in place and "site-packages" in place


def test_seqrec_lists_it_and_shows_its_options(fresh: Fresh, tmp_path: Path) -> None:
    listed = fresh.run("seqrec", "models", cwd=tmp_path)
    assert "MinGRU4Rec  (mingru4rec)\n    A GRU cut to its minimum" in listed
    assert "Paper: Feng et al., Were RNNs All We Needed? (2024)." in listed and "Cannot be used" not in listed
    shown = fresh.run("seqrec", "models", "MinGRU4Rec", cwd=tmp_path)
    assert re.search(r"num_layers +int +2 +1 to 16 +Recurrences one after the other\.", shown)


def test_run_recbole_trains_it(fresh: Fresh, shop: Path, tmp_path: Path) -> None:
    options = {**SIZES, "data_path": str(shop), "show_progress": False, "state": "ERROR"}
    code = f"""
import json, seqrec_plugin
from recbole.quick_start import run_recbole
result = run_recbole(model="MinGRU4Rec", dataset="shop", config_dict={options!r})
print(json.dumps(result["test_result"]))
"""
    result = json.loads(fresh.run("python", "-W", "ignore", "-c", code, cwd=tmp_path).splitlines()[-1])
    assert 0 < result["ndcg@10"] < 1


def test_seqrec_carries_it_from_a_configuration_to_an_answer(fresh: Fresh, shop: Path, tmp_path: Path) -> None:
    where = ("--dataset", "shop", "--data-path", shop)
    assert fresh.run("seqrec", "init", "config", "--model", "MinGRU4Rec", *where, cwd=tmp_path) == "MinGRU4Rec.yaml\n"
    small = [part for key, value in SIZES.items() for part in ("--set", f"{key}={value}")]
    fresh.run("seqrec", "train", "MinGRU4Rec.yaml", "-o", "run", *small, cwd=tmp_path)
    fresh.run("seqrec", "export", "run", "-o", "bundle", cwd=tmp_path)
    fresh.run("seqrec", "verify", "bundle", cwd=tmp_path)
    answer = json.loads(fresh.run("seqrec", "recommend", "bundle", "--history", "007,i3", "--json", cwd=tmp_path))
    assert answer["status"] == "ok" and len(answer["items"]) == 10
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    assert manifest["provenance"]["model"] == "MinGRU4Rec"


def test_its_own_tests_pass(fresh: Fresh, tmp_path: Path) -> None:
    """The contract, as the package's author runs it."""
    shutil.copytree(PACKAGE, tmp_path / "package", ignore=shutil.ignore_patterns("src", "__pycache__", "*.egg-info"))
    told = fresh.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=tmp_path / "package")
    assert re.search(r"^\d+ passed", told, re.MULTILINE)


def test_the_tutorial_is_the_package() -> None:
    """Each block of the tutorial that has a file's name above it is that file, byte for byte; no file is left out."""
    text = TUTORIAL.read_text(encoding="utf-8")
    blocks = dict(re.findall(r"^`([\w/.]+)`:?\n\n```\w+\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
    files = [path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".toml") and "build" not in path.parts]
    assert blocks == {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in files}


def test_the_model_stays_short() -> None:
    lines = (PACKAGE / "src" / "mingru4rec.py").read_text(encoding="utf-8").splitlines()
    assert sum(bool(line.strip()) for line in lines) < 60
