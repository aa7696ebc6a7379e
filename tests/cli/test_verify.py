"""`seqrec verify`: the checks one by one, and an exit code that says who must act."""

import json
import shutil

import pytest
from click.testing import CliRunner

from seqrec_plugin import bundle, cli
from tests import summing


def call(path, *args):
    return CliRunner().invoke(cli.main, ["verify", str(path), *args])


def test_each_check_is_a_line(tiny_bundle):
    result = call(tiny_bundle)
    assert result.exit_code == 0 and result.stderr == ""
    lines = result.stdout.splitlines()
    assert all(line.startswith("ok  ") for line in lines) and any("golden sessions" in line for line in lines)
    checks = [json.loads(line) for line in call(tiny_bundle, "--json").stdout.splitlines()]
    assert len(checks) == len(lines) and all(check["ok"] is True for check in checks)


@pytest.mark.parametrize("json_too", [[], ["--json"]])
def test_a_damaged_bundle_exits_3(tiny_bundle, tmp_path, json_too):
    path = shutil.copytree(tiny_bundle, tmp_path / "copy")
    (path / "README.md").unlink()
    result = call(path, *json_too)
    assert result.exit_code == 3 and "README.md" in result.stderr
    if json_too:
        assert json.loads(result.stdout)["ok"] is False
        assert json.loads(result.stdout)["code"] == "file_missing"


def test_wrong_answers_exit_1_after_the_checks_that_held(tiny_bundle, tmp_path):
    found = bundle.read(tiny_bundle)
    golden = json.loads(found.contents["golden.json"])
    golden["questions"][0]["embedding"][0] += 1
    with bundle.writing(tmp_path / "b") as folder:
        bundle.fill(folder, found.manifest, {**found.contents, "golden.json": json.dumps(golden).encode()})
    result = call(tmp_path / "b")
    assert result.exit_code == 1 and "user embedding" in result.stderr
    assert "carried equals whole" in result.stdout and "golden questions" not in result.stdout


def test_a_graph_that_is_not_its_own_batch_exits_1(tmp_path):
    assert call(summing.write(tmp_path / "b", summing.graph(growth=1.01))).exit_code == 1
