"""Each known conflict, on a machine written down as facts; and this machine as it is."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from seqrec_plugin import diagnosing
from seqrec_plugin.cli import main
from seqrec_plugin.diagnosing import Facts, Finding, diagnose

SERVING = {"click": "8.1", "msgspec": "0.18", "PyYAML": "6.0", "numpy": "1.26.4", "onnxruntime": "1.20.0"}
TRAINING = {
    "torch": "2.13.0+cpu",
    "recbole": "1.2.1",
    "ray": "2.6.3",
    "pandas": "2.3.3",
    "scipy": "1.17.1",
    "setuptools": "80.10.2",
    "onnx": "1.20",
    "safetensors": "0.6",
    "rich": "14.0",
}
HEALTHY = Facts(versions=SERVING | TRAINING)


def found(facts: Facts, word: str) -> Finding:
    (finding,) = [f for f in diagnose(facts) if word in f.what]
    return finding


def errors(facts: Facts) -> list[str]:
    return [finding.what for finding in diagnose(facts) if finding.level == "error"]


def test_a_healthy_machine_has_only_notes() -> None:
    assert {finding.level for finding in diagnose(HEALTHY)} <= {"note"}
    assert found(HEALTHY, "torch.load").level == "note"


@pytest.mark.parametrize(
    ("package", "version", "fix"),
    [
        ("numpy", "2.0.0", "numpy<2"),
        ("numpy", "2.4.1rc1", "numpy<2"),
        ("pandas", "3.0.0", "pandas<3"),
        ("setuptools", "81.0.0", "setuptools<81"),
        ("setuptools", None, "setuptools<81"),
        ("recbole", "1.1.1", "recbole==1.2.1"),
        ("torch", "2.5.1", "torch>=2.6"),
        ("recbole", None, "seqrec-plugin[train]"),
        ("onnx", None, "seqrec-plugin[train]"),
        ("onnxruntime", None, "seqrec-plugin"),
    ],
)
def test_a_version_that_cannot_work_is_one_error_with_its_fix(package: str, version: str | None, fix: str) -> None:
    facts = replace(HEALTHY, versions={**HEALTHY.versions, package: version})
    (error,) = [finding for finding in diagnose(facts) if finding.level == "error"]
    assert package in error.what and fix in error.fix
    assert diagnose(facts)[0] == error, "the worst comes first"


def test_serving_alone() -> None:
    facts = Facts(versions=SERVING)
    assert errors(facts) == ["training: not installed (serving does not need it)"]
    assert "pip install 'seqrec-plugin[train]'" in found(facts, "training").fix
    # What breaks RecBole is no matter where there is no RecBole.
    assert errors(replace(facts, versions={**SERVING, "numpy": "2.4", "setuptools": "90", "pandas": "3.1"})) == errors(
        facts
    )


def test_python_too_new_to_train() -> None:
    assert found(replace(HEALTHY, python=(3, 12, 1)), "needs Python 3.11").level == "error"
    serving = Facts(python=(3, 13, 0), versions=SERVING)
    assert found(serving, "needs Python 3.11").level == "note"
    assert "python3.11" in found(serving, "training: not installed").fix


def test_python_310() -> None:
    facts = replace(HEALTHY, python=(3, 10, 4))
    assert errors(facts) == []
    assert found(facts, "onnxruntime").level == "note"
    without = replace(facts, versions={**HEALTHY.versions, "onnxruntime": None})
    assert any("<1.24" in finding.fix for finding in diagnose(without))


def test_windows() -> None:
    assert found(replace(HEALTHY, system="Windows"), "Windows").level == "note"


def test_a_module_that_does_not_import() -> None:
    facts = replace(HEALTHY, broken={"torch": "the process was ended by signal 11", "numpy": "ImportError: x"})
    assert found(facts, "training: `import torch`").fix.endswith("torch==2.13.0")
    assert found(facts, "serving: `import numpy`").level == "error"


@pytest.mark.parametrize(
    ("cores", "quota", "environ", "what"),
    [
        (8, None, {}, None),
        (8, 2.0, {}, "grants 2 of 8 cores"),
        (8, 0.5, {}, "grants 0.5 of 8 cores"),
        (8, 2.0, {"OMP_NUM_THREADS": "2"}, None),
        (8, 2.0, {"OMP_NUM_THREADS": "8"}, "only 2 cores may be used"),
        (2, None, {"OMP_NUM_THREADS": "16"}, "only 2 cores may be used"),
        (8, None, {"OMP_NUM_THREADS": "4,2"}, None),
        (8, None, {"OMP_NUM_THREADS": "many"}, "'many'"),
    ],
)
def test_more_threads_than_cores(cores: int, quota: float | None, environ: dict[str, str], what: str | None) -> None:
    facts = replace(HEALTHY, cores=cores, quota=quota, environ=environ)
    warnings = [finding for finding in diagnose(facts) if finding.level == "warning"]
    assert len(warnings) == (0 if what is None else 1)
    if what is not None:
        assert what in warnings[0].what
        assert warnings[0].fix == f"export OMP_NUM_THREADS={max(1, int(min(cores, quota or cores)))}"


def test_threads_that_spin_on_few_cores() -> None:
    few = replace(HEALTHY, cores=2)
    assert "OMP_WAIT_POLICY=PASSIVE" in found(few, "spin").fix
    for environ in ({"OMP_WAIT_POLICY": "passive"}, {"OMP_NUM_THREADS": "1"}):
        assert not [finding for finding in diagnose(replace(few, environ=environ)) if "spin" in finding.what]


@pytest.mark.parametrize(
    ("groups", "files", "quota"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/a/b\n", {"a/cpu.max": "200000 100000\n", "a/b/cpu.max": "max 100000\n"}, 2.0),
        ("0::/../outside\n", {"cpu.max": "100000 100000\n"}, 1.0),
        (
            "4:memory:/x\n3:cpu,cpuacct:/x\n",
            {"cpu,cpuacct/x/cpu.cfs_quota_us": "50000\n", "cpu,cpuacct/x/cpu.cfs_period_us": "100000\n"},
            0.5,
        ),
        ("3:cpu,cpuacct:/\n", {"cpu,cpuacct/cpu.cfs_quota_us": "-1\n"}, None),
        ("0::/\n", {"cpu.max": "nonsense"}, None),
        ("0::/\n", {}, None),
    ],
)
def test_cpu_quota(tmp_path: Path, groups: str, files: dict[str, str], quota: float | None) -> None:
    for name, content in {"proc/self/cgroup": groups, **{f"sys/fs/cgroup/{n}": c for n, c in files.items()}}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert diagnosing.cpu_quota(tmp_path) == quota


def test_no_control_groups(tmp_path: Path) -> None:
    assert diagnosing.cpu_quota(tmp_path) is None


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", None),
        ("raise ImportError('numpy is\\nbroken')", "ImportError: numpy is"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "signal 11"),
        ("import os; os._exit(4)", "exit code 4"),
        ("import time; time.sleep(60)", "not done after 2 seconds"),
    ],
)
def test_import_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, reason: str | None) -> None:
    (tmp_path / "a_package.py").write_text(body)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    problem = diagnosing.import_problem("a_package", seconds=2)
    assert (problem is None) if reason is None else (reason in (problem or ""))


def test_a_file_in_the_current_folder_is_not_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "yaml.py").write_text("raise ImportError('mine')")
    monkeypatch.chdir(tmp_path)
    assert diagnosing.import_problem("yaml") is None


def test_needs_nothing_but_the_standard_library() -> None:
    code = (
        "import sys; import seqrec_plugin.diagnosing; "
        "tops = {name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names); "
        "print(sorted(top for top in tops if not top.startswith('_')))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, cwd=_root())
    assert done.stdout.strip() == "['seqrec_plugin']", done.stderr


def _root() -> Path:
    return Path(__file__).parents[1]


def test_doctor_here() -> None:
    pytest.importorskip("recbole", reason="recbole is missing: install the extra [train]")
    result = CliRunner().invoke(main, ["doctor", "--json"])
    report = json.loads(result.stdout)
    assert result.exit_code == 0 and report["ok"], report["findings"]
    assert report["versions"]["recbole"] == "1.2.1"
    assert {"python", "platform", "seqrec-plugin", "numpy", "ray", "scipy"} <= set(report["versions"])


def test_doctor_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        diagnosing, "gather", lambda **_: replace(HEALTHY, versions={**HEALTHY.versions, "numpy": "2.0"})
    )
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 1
    assert "error: numpy 2.0" in result.stdout and "pip install 'numpy<2'" in result.stdout


def test_a_service_without_training_is_healthy_where_only_serving_is_asked_for() -> None:
    versions = dict.fromkeys(diagnosing.SERVING, "1.0")
    facts = diagnosing.Facts(versions=versions)
    assert not diagnosing.diagnose(facts, serving_only=True)
    assert any(finding.level == "error" for finding in diagnosing.diagnose(facts))
    broken = diagnosing.Facts(versions={**versions, "onnxruntime": None})
    assert diagnosing.diagnose(broken, serving_only=True)[0].level == "error"
