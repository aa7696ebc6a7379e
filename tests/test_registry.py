"""Models by name: ours, third parties' by real entry points of packages made here, and what is wrong with some."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from seqrec_plugin import registry
from seqrec_plugin.errors import WrongUsage

Install = Callable[..., None]

GOOD = '''
class GoodRec:
    """A good model.

    Words about it.

    Paper: Someone, A Paper
    (2026).
    """
'''


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a package with entry points on the path, as pip would."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(package: str, points: dict[str, str], source: str = GOOD) -> None:
        module = package.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = "".join(f"{name} = {target}\n" for name, target in points.items())
        (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{lines}")
        monkeypatch.delitem(sys.modules, module, raising=False)
        registry._scan.cache_clear()

    return make


def entry(name: str, package: str, check: bool = False) -> registry.Entry:
    (found,) = [e for e in registry.entries(check) if e.name == name and e.package == package]
    return found


def test_built_in() -> None:
    assert "LSTM4Rec" in registry.names()
    assert registry.target("LSTM4Rec") == "seqrec_plugin.models.lstm4rec:LSTM4Rec"
    ours = entry("LSTM4Rec", "seqrec-plugin")
    assert ours.summary.startswith("LSTM") and "1997" in ours.paper and ours.problem is None


def test_built_in_loads() -> None:
    pytest.importorskip("torch", reason="torch is missing: install the extra [train]")
    assert registry.load("LSTM4Rec").__name__ == "LSTM4Rec"


@pytest.mark.parametrize(("name", "hint"), [("lstm4rec", "'LSTM4Rec'"), ("LSTM4Rek", "'LSTM4Rec'")])
def test_unknown_name(name: str, hint: str) -> None:
    with pytest.raises(WrongUsage) as caught:
        registry.target(name)
    assert caught.value.code == "unknown_model"
    assert hint in caught.value.hint


def test_third_party(install: Install) -> None:
    install("good-models", {"GoodRec": "good_models:GoodRec"})
    assert "GoodRec" in registry.names()
    assert registry.target("GoodRec") == "good_models:GoodRec"
    assert entry("GoodRec", "good-models") == registry.Entry(
        "GoodRec", "good-models", "good_models:GoodRec", "A good model.", "Someone, A Paper (2026)."
    )
    assert "good_models" not in sys.modules, "listing imported it"
    assert registry.load("GoodRec").__doc__


@pytest.mark.parametrize(
    ("target", "source", "reason"),
    [
        ("bad_models:BadRec", "raise RuntimeError('no such device\\nmore')", "RuntimeError: no such device"),
        ("bad_models:BadRec", "import sys; sys.exit(3)", "SystemExit: 3"),
        ("bad_models:BadRec", "import not_there_at_all", "not_there_at_all"),
        ("bad_models:BadRec", "x = 1", "no attribute 'BadRec'"),
        ("bad_models:BadRec", "def BadRec(): ...", "is not a class"),
        ("bad_models:BadRec", "class (", "SyntaxError"),
        ("bad_models", "x = 1", "AttributeError"),
        ("gone.models:BadRec", "", "No module named 'gone'"),
    ],
)
def test_broken_third_party_harms_only_itself(install: Install, target: str, source: str, reason: str) -> None:
    install("bad-models", {"BadRec": target}, source)
    install("good-models", {"GoodRec": "good_models:GoodRec"})
    with pytest.raises(WrongUsage) as caught:
        registry.load("BadRec")
    assert caught.value.code == "model_broken"
    assert "'bad-models'" in caught.value.message and reason in caught.value.message
    assert "\n" not in caught.value.message
    assert registry.load("GoodRec").__name__ == "GoodRec"
    assert reason in (entry("BadRec", "bad-models", check=True).problem or "")
    assert entry("GoodRec", "good-models", check=True).problem is None


def test_missing_torch_is_no_fault_of_the_model(install: Install) -> None:
    install("late-models", {"LateRec": "late_models:LateRec"}, "raise ModuleNotFoundError('no torch', name='torch')")
    with pytest.raises(WrongUsage) as caught:
        registry.load("LateRec")
    assert caught.value.code == "missing_extra"
    assert entry("LateRec", "late-models", check=True).problem is None


@pytest.mark.parametrize("second", ["GoodRec", "goodrec"])
def test_two_packages_claim_one_name(install: Install, second: str) -> None:
    install("good-models", {"GoodRec": "good_models:GoodRec", "FineRec": "good_models:GoodRec"})
    install("other-models", {second: "other_models:GoodRec"})
    for use in (registry.target, registry.load):
        with pytest.raises(WrongUsage) as caught:
            use("GoodRec")
        assert caught.value.code == "name_clash"
        assert "'good-models'" in caught.value.message and "'other-models'" in caught.value.message
    assert entry("GoodRec", "good-models").problem
    assert entry(second, "other-models").problem
    assert registry.target("FineRec") and registry.target("LSTM4Rec")


def test_a_third_party_cannot_take_our_name_silently(install: Install) -> None:
    install("other-models", {"LSTM4Rec": "other_models:GoodRec"})
    with pytest.raises(WrongUsage, match=r"'seqrec-plugin' and 'other-models'"):
        registry.target("LSTM4Rec")


def test_importing_loads_next_to_nothing() -> None:
    code = (
        "import sys, seqrec_plugin.registry as r; r.entries(); "
        "print(sorted({'torch', 'recbole', 'numpy', 'onnx', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
