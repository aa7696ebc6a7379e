"""A run that comes from another: refitted on all events, or begun with its weights on newer data."""

import json
import shutil

import pytest
import torch
from click.testing import CliRunner

from seqrec_plugin import checkpoint
from seqrec_plugin.checkpoint import RunFolder
from seqrec_plugin.cli import main
from seqrec_plugin.errors import BadData, WrongUsage
from seqrec_plugin.exporting import export
from seqrec_plugin.recbole_bridge.settings import resolve
from seqrec_plugin.starting import Start, configuration
from seqrec_plugin.training import train
from tests.conftest import Silent
from tests.test_training import _Interrupts

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


def _call(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def _refit(run, output, **options):
    run = RunFolder.open(run)
    return train(configuration(run, None), output, Silent(), start=Start(refit=run), **options)


@pytest.fixture(scope="module")
def refitted(finished_run, tmp_path_factory):
    return _refit(finished_run, tmp_path_factory.mktemp("refit") / "all").path


# Refit.


def test_a_refit_keeps_the_course_of_the_learning_rate(recipe, tmp_path):
    """It stops where validation chose, on the cosine of the whole training."""
    whole = train(resolve(recipe, ["schedule=cosine"]), tmp_path / "whole", Silent())
    assert configuration(whole, None).values["schedule_epochs"] == 3

    def losses(*more):
        options = ["schedule=cosine", "epochs=2", *more]
        return [
            record["loss"] for record in train(resolve(recipe, options), tmp_path / "run", Silent(), force=True).curve()
        ]

    first = [record["loss"] for record in whole.curve()][:2]
    assert losses("schedule_epochs=3") == first != losses()


def test_a_refit_learns_from_every_event_for_the_epochs_that_validation_chose(finished_run, refitted):
    before, run = RunFolder.open(finished_run), RunFolder.open(refitted)
    split, learned = run.split(), before.split()
    assert len(split.train) == len(learned.train) + len(learned.valid) + len(learned.test)
    assert not len(split.valid) and not len(split.test)
    assert [record["epoch"] for record in run.curve()] == list(range(before.info.epoch + 1))
    assert run.info.epoch == before.info.epoch
    assert run.info.exclude_seen == before.info.exclude_seen
    assert run.vocabulary().tokens == before.vocabulary().tokens
    assert run.info.origins.refit_of.run == before.path.name
    assert run.info.origins.refit_of.weights == before.info.files[checkpoint.WEIGHTS_FILE]


def test_the_same_refit_gives_the_same_bytes(finished_run, refitted, tmp_path):
    again = _refit(finished_run, tmp_path / "again")
    assert (again.path / checkpoint.WEIGHTS_FILE).read_bytes() == (refitted / checkpoint.WEIGHTS_FILE).read_bytes()
    weights = RunFolder.open(refitted).weights()
    assert any(not torch.equal(w, weights[name]) for name, w in RunFolder.open(finished_run).weights().items())


def test_an_interrupted_refit_goes_on_to_the_same_result(finished_run, refitted, tmp_path):
    run = RunFolder.open(finished_run)
    start, resolved = Start(refit=run), configuration(run, None)
    with pytest.raises(KeyboardInterrupt):
        train(resolved, tmp_path / "run", _Interrupts(run.info.epoch), start=start)
    with pytest.raises(WrongUsage, match="started with --refit"):
        train(resolved, tmp_path / "run", Silent(), resume=True)
    done = train(resolved, tmp_path / "run", Silent(), resume=True, start=start)
    assert (done.path / checkpoint.WEIGHTS_FILE).read_bytes() == (refitted / checkpoint.WEIGHTS_FILE).read_bytes()
    assert not (done.path / checkpoint.ORIGINS_FILE).exists()


def test_the_metrics_of_a_refit_are_those_of_its_run_wherever_they_are_shown(finished_run, refitted, tmp_path):
    before = RunFolder.open(finished_run)
    metrics = RunFolder.open(refitted).metrics()
    assert "test" not in metrics and metrics["before_refit"]["test"] == before.metrics()["test"]
    done = _call("evaluate", refitted)
    assert done.exit_code == 2 and "learned from all events" in done.stderr
    manifest = export(refitted, tmp_path / "bundle", report=lambda check: None)
    assert manifest.provenance.metrics == metrics
    card = (tmp_path / "bundle" / "README.md").read_text(encoding="utf-8")
    assert f"Of the run `{before.path.name}`, before this model learned from all events" in card
    assert "On the test split" not in card
    assert "before_refit, test, masked" in _call("inspect", tmp_path / "bundle").stdout


def test_from_the_command_line_the_run_says_all(finished_run, refitted, tmp_path):
    done = _call("train", "--refit", finished_run, "-o", tmp_path / "all")
    assert done.exit_code == 0, done.output
    assert "nothing is held out" in done.stderr and "NDCG@10" in done.stdout
    assert (tmp_path / "all" / "weights.safetensors").read_bytes() == (refitted / "weights.safetensors").read_bytes()
    assert _call("train", "-o", tmp_path / "x").exit_code == 2
    again = _call("train", "--refit", finished_run, "-o", finished_run, "--force")
    assert again.exit_code == 2 and RunFolder.open(finished_run)


def test_a_refit_with_other_options_or_data_is_refused(finished_run, recipe, shop, refitted, tmp_path):
    run = RunFolder.open(finished_run)
    with pytest.raises(WrongUsage, match="learning_rate"):
        configuration(run, None, ["learning_rate=0.5"])
    assert configuration(run, recipe).values["epochs"] == run.info.epoch + 1
    shutil.copytree(shop, tmp_path / "data")
    moved = configuration(run, None, data=tmp_path / "data" / "shop")
    with (tmp_path / "data" / "shop" / "shop.inter").open("a") as file:
        file.write("u1\t007\t1800000000\n")
    with pytest.raises(BadData, match="--init-from"):
        train(moved, tmp_path / "run", Silent(), start=Start(refit=run))
    with pytest.raises(WrongUsage, match="is a refit itself"):
        _refit(refitted, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_refit_has_no_other_number_of_epochs(finished_run):
    with pytest.raises(WrongUsage, match="the epochs that validation chose"):
        configuration(RunFolder.open(finished_run), None, ["epochs=3"])


def test_a_configuration_of_another_data_set_is_told_by_the_data_set(finished_run, tmp_path):
    (tmp_path / "films.yaml").write_text("model: LSTM4Rec\ndataset: ml-100k\nepochs: 9\n")
    with pytest.raises(WrongUsage, match=r"of the data set 'shop', .* is of 'ml-100k'") as caught:
        configuration(RunFolder.open(finished_run), tmp_path / "films.yaml")
    assert "--data" in caught.value.hint


@pytest.mark.parametrize(
    "options", [["model=GRU4Rec"], ["eval_args={split: {RS: [0.8, 0.1, 0.1]}, order: TO, group_by: user}"]]
)
def test_recboles_own_models_and_other_splits_are_refitted_too(recipe, tmp_path, options):
    file = tmp_path / "r.yaml"
    file.write_text("".join(line + "\n" for line in recipe.read_text().splitlines() if "feed_forward" not in line))
    run = train(resolve(file, [*options, "epochs=1"]), tmp_path / "run", Silent())
    done = _refit(run.path, tmp_path / "all")
    users = len(done.split().offsets) - 1
    assert len(done.split().train) == len(done.split().items) - users


def test_targets_of_every_behaviour_are_learned(mixed, tmp_path):
    file = tmp_path / "m.yaml"
    file.write_text(
        json.dumps(
            {
                "model": "LSTMRanker",
                "dataset": "mixed",
                "data_path": str(mixed),
                "embedding_size": 8,
                "hidden_size": 8,
                "epochs": 1,
                "target_behaviors": ["buy"],
                "candidate": False,
                "NUMERIC_FIELDS": ["price"],
            }
        )
    )
    run = train(resolve(file), tmp_path / "run", Silent())
    done = _refit(run.path, tmp_path / "all")
    assert len(done.split().train) == len(done.split().items) - len(done.split().offsets) + 1
    export(done.path, tmp_path / "bundle", report=lambda check: None)


def test_a_run_of_a_release_with_fewer_options_is_refitted(finished_run, tmp_path):
    shutil.copytree(finished_run, tmp_path / "old")
    file = tmp_path / "old" / "config.yaml"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(line for line in lines if not line.startswith("TIMESTAMP_FIELD")))
    assert configuration(RunFolder(tmp_path / "old"), None).values["TIMESTAMP_FIELD"] == ""
    with pytest.raises(WrongUsage, match="TIMESTAMP_FIELD"):
        configuration(RunFolder(tmp_path / "old"), None, ["TIMESTAMP_FIELD=clock"])
