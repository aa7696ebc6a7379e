"""Ranks and metrics: by hand, and equal to RecBole's."""

import math

import numpy as np
import pytest

from seqrec_plugin import metrics, ranking
from seqrec_plugin.errors import WrongUsage


def test_masked_and_unmasked_ranks_of_a_case_made_by_hand():
    scores = np.array([[9, 5, 4, 3, 2, 1]], dtype=np.float32)
    scores[0, 0] = -np.inf
    target, history = np.array([3]), np.array([1, 2])
    assert ranking.ranks(scores, target).tolist() == [3]
    assert ranking.masked_ranks(scores, np.array([3]), np.array([0, 0]), history, target).tolist() == [1]
    # A target that repeats an earlier item stays rankable.
    again = np.array([2])
    assert ranking.masked_ranks(scores, ranking.ranks(scores, again), np.array([0, 0]), history, again).tolist() == [1]


def test_values_of_a_case_made_by_hand():
    ranks = np.array([1, 3, 11])
    assert metrics.per_row("NDCG@10", ranks).tolist() == pytest.approx([1, 1 / math.log2(4), 0])
    assert metrics.per_row("MRR@10", ranks).tolist() == pytest.approx([1, 1 / 3, 0])
    assert metrics.summarise(ranks, [10])["HR@10"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("name", ["ndgc@10", "NDCG", "NDCG@0", "NDCG@ten"])
def test_a_metric_that_is_not_known_is_refused(name):
    with pytest.raises(WrongUsage, match="no metric"):
        metrics.per_row(name, np.array([1]))


def test_metrics_equal_recboles():
    import torch
    from recbole.config import Config
    from recbole.evaluator import Collector, Evaluator

    names = ["Hit", "Recall", "NDCG", "MRR", "Precision"]
    config = Config(
        model="LSTM4Rec",
        dataset="ml-100k",
        config_dict={"metrics": names, "topk": [1, 5, 10], "metric_decimal_place": 12, "train_neg_sample_args": None},
    )
    random = np.random.default_rng(0)
    scores, targets = random.random((200, 60), dtype=np.float32), random.integers(1, 60, 200)
    collector = Collector(config)
    collector.eval_batch_collect(torch.from_numpy(scores.copy()), None, torch.arange(200), torch.from_numpy(targets))
    expected = Evaluator(config).evaluate(collector.get_data_struct())
    ranks = ranking.ranks(scores, targets)
    for name, value in expected.items():
        assert metrics.per_row(name, ranks).mean() == pytest.approx(value, abs=1e-11), name
