"""Validation on a sample of its rows."""

import numpy as np
import pytest

from seqrec_plugin.building import build
from seqrec_plugin.checkpoint import RunFolder
from seqrec_plugin.recbole_bridge.sample import Sample
from seqrec_plugin.recbole_bridge.settings import resolve
from seqrec_plugin.training import train
from tests.conftest import Silent

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


def test_a_row_ranks_in_a_sample_as_it_does_among_all(recipe, tmp_path):
    trainer, _, parts = build(resolve(recipe), RunFolder.create(tmp_path / "run"))
    trainer.evaluate(parts[1], load_best_model=False)
    every = trainer.ranks
    drawn = []
    for seed in (1, 1, 2):
        trainer.evaluate(Sample(parts[1], 5, seed), load_best_model=False)
        row, masked = trainer.ranks["row"], trainer.ranks["masked"]
        assert len(set(row)) == 5
        of_all = dict(zip(every["row"], every["masked"], strict=True))
        np.testing.assert_array_equal([of_all[n] for n in row], masked)
        drawn.append(set(row))
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("model", ["LSTM4Rec", "GRU4Rec"])
def test_the_sample_chooses_the_epoch_and_all_rows_are_reported(recipe, tmp_path, model):
    file = tmp_path / "some.yaml"
    file.write_text("".join(line + "\n" for line in recipe.read_text().splitlines() if "feed_forward" not in line))
    told: list[str] = []
    reporter = Silent()
    reporter.says = told.append
    some, every = (
        train(resolve(file, [f"model={model}", f"valid_sample={n}"]), tmp_path / str(n), reporter) for n in (5, 0)
    )
    assert sum("chosen by 5 of" in text for text in told) == 1
    assert [r["loss"] for r in some.curve()] == [r["loss"] for r in every.curve()]
    assert [r["score"] for r in some.curve()] != [r["score"] for r in every.curve()]
    assert some.metrics()["valid"]["targets"] == every.metrics()["valid"]["targets"] > 5
    best = max(some.curve(), key=lambda record: record["score"])["epoch"]
    assert some.info.epoch == best
