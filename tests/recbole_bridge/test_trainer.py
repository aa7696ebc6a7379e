"""What our trainer refuses, and what it does not pay for."""

import pytest
import torch
from recbole.config import Config

from seqrec_plugin.building import build
from seqrec_plugin.checkpoint import RunFolder
from seqrec_plugin.errors import WrongUsage
from seqrec_plugin.recbole_bridge.sequence_trainer import SequenceTrainer
from seqrec_plugin.recbole_bridge.settings import resolve


def test_recboles_own_processes_are_refused_and_not_each_trained_alone():
    config = Config(model="LSTM4Rec", dataset="ml-100k")
    config["single_spec"] = False
    with pytest.raises(WrongUsage, match=r"RecBole's nproc starts.*torchrun"):
        SequenceTrainer(config, None)


def test_gradients_are_not_searched_for_nan(recipe, tmp_path, monkeypatch):
    """RecBole's SINE turns that on for the whole process, and it costs time at every node of the backward pass."""
    trainer, _, parts = build(resolve(recipe), RunFolder.create(tmp_path / "run"))
    loss, seen = trainer.model.network.loss, []
    monkeypatch.setattr(
        trainer.model.network, "loss", lambda *batch: (seen.append(torch.is_anomaly_enabled()), loss(*batch))[1]
    )
    with torch.autograd.set_detect_anomaly(True):
        trainer._train_epoch(parts[0], 0)
        assert torch.is_anomaly_enabled()
    assert seen and not any(seen)


@pytest.mark.parametrize("asked", ["highest", "medium"])
def test_only_training_multiplies_in_the_precision_asked_for(recipe, tmp_path, asked):
    """Ranks, and the parity that an export measures, are of full precision whatever training is."""
    run = RunFolder.create(tmp_path / "run")
    trainer, _, parts = build(resolve(recipe, [f"matmul_precision={asked}"]), run)
    network, seen = trainer.model.network, {}

    def watched(name, function):
        return lambda *values: (
            seen.setdefault(name, set()).add(torch.get_float32_matmul_precision()),
            function(*values),
        )[1]

    network.loss, network.last = watched("loss", network.loss), watched("last", network.last)
    trainer.fit(parts[0], parts[1])
    assert seen == {"loss": {asked}, "last": {"highest"}}
