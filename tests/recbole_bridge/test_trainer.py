"""What our trainer refuses."""

import pytest
from recbole.config import Config

from seqrec_plugin.errors import WrongUsage
from seqrec_plugin.recbole_bridge.trainer import SequenceTrainer


def test_several_processes_are_refused_and_not_each_trained_alone():
    config = Config(model="LSTM4Rec", dataset="ml-100k")
    config["single_spec"] = False
    with pytest.raises(WrongUsage, match="several processes"):
        SequenceTrainer(config, None)
