"""`seqrec train`, `evaluate` and `export`, as they are called."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from seqrec_plugin.cli import main


def _call(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_from_a_recipe_to_an_answer_in_a_fresh_process_each(recipe, tmp_path):
    """The main road, from a terminal, nothing left but what was asked for."""

    def call(*arguments):
        command = [sys.executable, "-m", "seqrec_plugin.cli", *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done

    trained = call("train", recipe, "-o", "run")
    assert "epoch   1/3" in trained.stderr
    assert "NDCG@10" in trained.stderr
    assert "Warning" not in trained.stderr
    evaluated = call("evaluate", "run")
    assert evaluated.stdout == trained.stdout
    exported = call("export", "run", "-o", "bundle")
    assert exported.stdout.count("ok  ") >= 8
    call("verify", "bundle")
    answer = json.loads(call("recommend", "bundle", "--history", "苹果,NA", "--json", "--titles", "-k", 3).stdout)
    assert answer["status"] == "ok"
    assert len(answer["items"]) == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bundle", "run"]


def test_the_effective_configuration_is_shown_with_its_sources(recipe, tmp_path):
    done = _call("train", recipe, "-o", tmp_path / "run", "--set", "epochs=1")
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.stderr.splitlines()]
    assert ["epochs", "1", "--set"] in lines
    assert ["hidden_size", "8", "shop.yaml"] in lines
    assert ["exact_time", "true", "seqrec"] in lines


def test_json_is_all_that_is_on_stdout(recipe, tmp_path):
    done = _call("train", recipe, "-o", tmp_path / "run", "--set", "epochs=1", "--json")
    metrics = json.loads(done.stdout)
    assert set(metrics["test"]) == {"targets", "masked", "unmasked", "recbole"}
    checks = _call("export", tmp_path / "run", "-o", tmp_path / "bundle", "--json").stdout
    assert all(json.loads(line)["ok"] for line in checks.splitlines())
    again = json.loads(_call("evaluate", tmp_path / "run", "--json").stdout)
    assert again["test"]["masked"] == metrics["test"]["masked"]


@pytest.mark.parametrize(
    ("overrides", "code", "words"),
    [
        (["hiden_size=7"], 2, "Did you mean 'hidden_size'?"),
        (["model=LSTM4Rek"], 2, "Did you mean 'LSTM4Rec'?"),
        (["epochs=ten"], 2, "of type int"),
        (["dataset=nowhere"], 3, "has no file"),
        (["valid_metric=NDGC@10"], 2, "NDGC"),
    ],
)
def test_a_mistake_is_one_sentence_and_the_right_exit_code(recipe, tmp_path, overrides, code, words):
    arguments = [part for override in overrides for part in ("--set", override)]
    done = _call("train", recipe, "-o", tmp_path / "run", *arguments)
    assert done.exit_code == code, done.output
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_no_run_is_said_so(tmp_path):
    for command in (["evaluate", tmp_path], ["export", tmp_path, "-o", tmp_path / "bundle"]):
        done = _call(*command)
        assert done.exit_code == 3
        assert "run.json" in done.stderr


def test_recboles_own_model_trains_the_same_way(recipe, tmp_path):
    text = "\n".join(line for line in recipe.read_text().splitlines() if not line.startswith("feed_forward"))
    (tmp_path / "gru.yaml").write_text(text)
    done = _call("train", tmp_path / "gru.yaml", "-o", tmp_path / "run", "--set", "model=GRU4Rec", "--set", "epochs=1")
    assert done.exit_code == 0, done.output
    shown = _call("evaluate", tmp_path / "run")
    assert shown.exit_code == 0
    assert shown.stdout == done.stdout
    refused = _call("export", tmp_path / "run", "-o", tmp_path / "bundle")
    assert refused.exit_code == 3
    assert "GRU4Rec" in refused.stderr


def test_a_used_output_is_refused_before_the_configuration_is_shown(recipe, finished_run):
    done = _call("train", recipe, "-o", finished_run)
    assert done.exit_code == 2
    assert "already" in done.stderr
    assert "hidden_size" not in done.stderr
