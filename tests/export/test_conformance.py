"""The clients are right, and the runner finds one that is not."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.export.mutations import MUTATIONS
from tests.export.test_vectors import NAMES, VECTORS, loaded

EXPORT = Path(__file__).parents[2] / "export"
runner = loaded(EXPORT / "conformance" / "run.py")
make = loaded(EXPORT / "hostile" / "make.py")
#: Client → the package that it needs.
NEEDS = {"python": "onnxruntime", "tract": "tract"}


def wrong(client, name):
    return [outcome for outcome in runner.over_vector(client, VECTORS / name) if outcome.reason]


@pytest.fixture(params=NEEDS)
def client(request):
    if importlib.util.find_spec(NEEDS[request.param]) is None:
        pytest.skip(f"the package {NEEDS[request.param]} is not installed: pip install {NEEDS[request.param]}")
    return runner.Client(EXPORT / "clients" / request.param)


@pytest.mark.parametrize("name", NAMES)
def test_a_client_answers_a_vector(client, name):
    assert wrong(client, name) == []


@pytest.mark.parametrize("name", ["lstm4rec", "lstmranker-candidates"])
def test_our_own_runtime_answers_as_the_clients_do(name):
    assert wrong(runner.Client(EXPORT / "conformance" / "seqrec_plugin"), name) == []


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    return folder, make.make(folder)


@pytest.fixture(scope="module")
def seqrec_client():
    sys.path.insert(0, str(EXPORT / "clients" / "python"))
    yield loaded(EXPORT / "clients" / "python" / "seqrec_client.py")
    sys.path.pop(0)


@pytest.mark.parametrize("name", make.CASES)
def test_the_python_client_refuses_a_hostile_bundle(name, hostile, seqrec_client):
    folder, cases = hostile
    if "question" in cases[name]:
        assert seqrec_client.load(folder / name).recommend(cases[name]["question"])["status"] == cases[name]["code"]
    elif cases[name]["duty"] == "verifier":
        assert seqrec_client.load(folder / name).recommend({"history": []})["status"] == "newcomer"
    else:
        with pytest.raises(seqrec_client.SeqrecError) as error:
            seqrec_client.load(folder / name)
        assert error.value.code == cases[name]["code"]


def test_the_python_client_shares_nothing_with_us():
    code = "import sys, seqrec_client as c; c.load(sys.argv[1]); print(sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", code, VECTORS / "lstm4rec"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(EXPORT / "clients" / "python")},
    )
    assert "onnxruntime" in done.stdout
    for package in ("seqrec_plugin", "msgspec", "torch", "recbole", "onnx"):
        assert f"'{package}'" not in done.stdout


@pytest.mark.parametrize("name", NEEDS)
def test_the_example_of_a_clients_readme_runs(name, tmp_path):
    if importlib.util.find_spec(NEEDS[name]) is None:
        pytest.skip(f"the package {NEEDS[name]} is not installed: pip install {NEEDS[name]}")
    text = (EXPORT / "clients" / name / "README.md").read_text(encoding="utf-8")
    example = text.split("```python\n")[1].split("```")[0]
    shutil.copytree(VECTORS / "lstm4rec", tmp_path / "bundle")
    folders = [str(EXPORT / "clients" / folder) for folder in (name, "python")]
    paths = os.pathsep.join([*folders, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", example],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Title i") >= 2


def mutated(folder, old, new):
    """A client folder with the Python client, one place of it changed."""
    shutil.copytree(EXPORT / "clients" / "python", folder, ignore=shutil.ignore_patterns("__pycache__"))
    text = (folder / "seqrec_client.py").read_text(encoding="utf-8")
    assert text.count(old) >= 1, f"the client has no {old!r} any more"
    (folder / "seqrec_client.py").write_text(text.replace(old, new, 1), encoding="utf-8")
    return runner.Client(folder)


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_wrong_client_is_found(name, tmp_path):
    old, new, vector, kind = MUTATIONS[name]
    found = wrong(mutated(tmp_path / "mutant", old, new), vector)
    assert kind in {outcome.kind for outcome in found}


#: What a reader does not look at, and the bundles that show it.
BLIND = {
    "links": ("if entry.is_symlink():", "if False:", "link-dangling"),
    "sub-folders": ("if not entry.is_file(follow_symlinks=False):", "if False:", "folder-for-a-file"),
    "hashes": ('digest.hexdigest() != listed["sha256"]', "False", "file-byte-changed"),
    "sizes": ("if size > limit:", "if False:", "manifest-too-large"),
    "stray files": ("if stray :=", "if False and", "file-hidden"),
    "names": ('if name in ("", ".", "..") or', "if False and", "name-parent"),
    "a graph's file outside": ('if model.count(b"location") !=', "if False and", "graph-outside-beside-weights"),
    "the format": ('if m["format_version"] != 0:', "if False:", "format-99"),
    "unknown keys": ("KEYS ^ m.keys()", "KEYS - m.keys()", "manifest-key-unknown"),
    "NaN": ("not (np.isfinite(values) |", "False and not (np.isfinite(values) |", "weights-nan"),
}


@pytest.mark.parametrize("name", BLIND)
def test_a_blind_client_is_found(name, tmp_path, hostile):
    old, new, bundle = BLIND[name]
    folder, told = hostile
    client = mutated(tmp_path / "mutant", old, new)
    outcome = runner.over_hostile(client, folder / bundle, told[bundle])
    assert told[bundle]["code"] in outcome.reason


def scripted(folder, text):
    folder.mkdir()
    (folder / "run.sh").write_text(f"#!/bin/sh\n{text}\n")
    return runner.Client(folder)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo hello", "no JSON"),
        ("exit 0", "got 0 answers"),
        ("kill -9 $$", "ended with -9"),
        ('while read -r line; do echo \'{"status": "ok"}\'; done', "bundle is None"),
        ("while read -r line; do echo '{\"status\": NaN}'; done", "no number of JSON"),
        ('echo \'{"status": "file_changed", "message": "no"}\'; exit 3', "refused as file_changed"),
    ],
)
def test_a_program_that_breaks_the_protocol_is_wrong_in_every_case(script, told, tmp_path):
    outcomes = list(runner.over_vector(scripted(tmp_path / "client", script), VECTORS / "lstm4rec"))
    assert all(outcome.reason for outcome in outcomes)
    assert any(told in outcome.reason for outcome in outcomes)


def test_a_missing_runtime_says_what_to_install_and_is_an_error_unless_it_is_skipped(tmp_path):
    scripted(tmp_path / "elsewhere", 'echo \'{"status": "missing", "message": "install it"}\'; exit 4')
    command = [sys.executable, EXPORT / "conformance" / "run.py", tmp_path / "elsewhere"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "elsewhere  missing: install it" in done.stdout
    done = subprocess.run([*command, "--skip-missing"], capture_output=True, text=True)
    assert done.returncode == 0 and "1 clients, 1 missing" in done.stdout.splitlines()[-1]


def test_the_matrix_counts_what_is_wrong_and_says_why(tmp_path):
    client = mutated(tmp_path / "mutant", *MUTATIONS["leaves out titles"][:2])
    outcomes = list(runner.over_vector(client, VECTORS / "lstm4rec"))
    table = runner.matrix([client], outcomes, {})
    assert "WRONG" in table.splitlines()[1] and "ok" in table.splitlines()[1]
    assert "mutant: questions: lstm4rec" in runner.reasons(outcomes) and "title is None" in runner.reasons(outcomes)


def test_each_client_has_a_readme_and_keeps_no_registry_address():
    for folder in sorted(path.parent for path in EXPORT.glob("clients/*/run.sh")):
        assert (folder / "README.md").is_file(), folder.name
        for file in folder.iterdir():
            if file.suffix in (".txt", ".toml", ".json", ".sh"):
                assert "registry." not in file.read_text(encoding="utf-8"), file


def test_the_codes_of_the_protocol_are_the_specifications():
    errors = json.loads((EXPORT / "spec" / "errors.json").read_text(encoding="utf-8"))
    text = (EXPORT / "conformance" / "cases.py").read_text(encoding="utf-8")
    used = {code for code in errors if f'"{code}"' in text}
    assert used >= {"bad_index", "bad_column", "bad_state", "bad_question", "bad_value"}
