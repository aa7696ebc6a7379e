"""What pip installs: the wheel's content, and the base install alone in a fresh environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MADE = ("__pycache__", "*.egg-info", "build", "dist", "runs", "bundles", "node_modules")
NOT_SOURCES = shutil.ignore_patterns(".*", *MADE, "tests")

# One worker does it all, so that the environment is made once (`pytest -n … --dist loadgroup`).
pytestmark = [pytest.mark.packaging, pytest.mark.xdist_group("packaging")]


def outside() -> dict[str, str]:
    """An environment without what would lead a fresh interpreter back here."""
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}


def pip(python: str | Path, *args: str | Path) -> None:
    """Run pip; skip where it finds no package, since nothing can be said without an index."""
    command = [str(python), "-m", "pip", *map(str, args), "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True, env=outside())
    unreachable = ("No matching distribution found", "Connection", "Temporary failure in name resolution")
    if done.returncode and any(sign in done.stderr for sign in unreachable):
        missing = [line for line in done.stderr.splitlines() if line.startswith("ERROR")][-1]
        pytest.skip(f"a package index that pip can reach is missing ({missing})")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: setuptools would pack what an older build left here."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "source", ignore=NOT_SOURCES)
    pip(sys.executable, "wheel", "--no-deps", "-w", folder, folder / "source")
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of a fresh environment with the base install alone."""
    folder = tmp_path_factory.mktemp("base")
    venv.create(folder, with_pip=True)
    bin_ = folder / ("Scripts" if os.name == "nt" else "bin")
    pip(bin_ / "python", "install", wheel)
    return bin_


def run(base: Path, *args: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    command = [str(base / args[0]), *map(str, args[1:])]
    return subprocess.run(command, capture_output=True, text=True, env=outside(), cwd=base, **options)  # type: ignore[call-overload, no-any-return]


def test_the_wheel_holds_every_module_and_recipe(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "seqrec_plugin").rglob("*.py")}
    recipes = {f"seqrec_plugin/configs/{path.name}" for path in (ROOT / "configs").glob("*.yaml")}
    assert recipes
    assert modules | recipes | {"seqrec_plugin/py.typed"} <= names
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"seqrec_plugin"}


def test_an_installed_wheel_carries_the_page(wheel: Path, base: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    built = ROOT / "seqrec_plugin" / "web_page"
    if not (built / "index.html").is_file():
        pytest.skip("the built page is missing: make web (needs Node.js and npm)")
    packed = {name.removeprefix("seqrec_plugin/web_page/") for name in zipfile.ZipFile(wheel).namelist()}
    assert {path.name for path in built.iterdir()} <= packed
    done = run(base, "seqrec", "export", tiny_bundle, "--web", tmp_path / "page")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "page" / "index.html").read_bytes() == (built / "index.html").read_bytes()
    assert (tmp_path / "page" / "bundle" / "model.onnx").is_file()


def test_nothing_of_training_comes_along(base: Path) -> None:
    installed = run(base, "python", "-m", "pip", "list", "--format=freeze").stdout.lower()
    assert "onnxruntime==" in installed
    for package in ("torch==", "recbole==", "pandas==", "onnx==", "safetensors=="):
        assert f"\n{package}" not in installed


def test_the_commands_that_need_no_training(base: Path) -> None:
    assert "recommend" in run(base, "seqrec", "--help", check=True).stdout
    assert "LSTM4Rec" in run(base, "seqrec", "models", check=True).stdout
    assert "lstm_ml100k" in run(base, "seqrec", "init", "--list", check=True).stdout
    doctor = run(base, "seqrec", "doctor")
    assert doctor.returncode == 1 and "training: not installed" in doctor.stdout


def test_training_names_the_extra(base: Path, tmp_path: Path) -> None:
    done = run(base, "seqrec", "train", "lstm_ml100k", "-o", tmp_path / "run")
    assert done.returncode == 2 and "seqrec-plugin[train]" in done.stderr
    assert not (tmp_path / "run").exists()


def test_recommending(base: Path, tiny_bundle: Path) -> None:
    verified = run(base, "seqrec", "verify", tiny_bundle)
    assert verified.returncode == 0, verified.stderr
    answered = run(base, "seqrec", "recommend", tiny_bundle, "-k", "1", input='{"history": []}\n')
    assert answered.returncode == 0, answered.stderr
    assert '"newcomer"' in answered.stdout
