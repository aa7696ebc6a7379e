"""What a table says of finished runs: intervals that are right and paired, and never two splits."""

import shutil

import numpy as np
import pytest

from seqrec_plugin.checkpoint import RunFolder, Split
from seqrec_plugin.comparing import Candidate, Outcome, check_one_split, compare, paired_interval, popularity
from seqrec_plugin.errors import BadData
from tests.conftest import reseal


def _users(n, seed):
    """How easy each user is, and two models that see the same users with a little luck each."""
    random = np.random.default_rng(seed)
    easy = random.random(n)
    return easy, easy + 0.05 + random.normal(0, 0.05, n), easy + random.normal(0, 0.05, n)


def test_the_interval_contains_the_true_difference_about_as_often_as_it_says():
    found = [paired_interval(*_users(200, seed)[1:], resamples=1000, seed=seed) for seed in range(200)]
    contains = [interval.low <= 0.05 <= interval.high for interval in found]
    assert 0.9 <= np.mean(contains) <= 0.99
    assert all(interval.low <= interval.mean <= interval.high for interval in found)


def test_it_is_that_of_resampled_rows():
    _, first, second = _users(100, 0)
    first, second = first.round(1), second.round(1)  # few distinct differences
    picked = np.random.default_rng(1).integers(0, 100, (20_000, 100))
    low, high = np.quantile((first - second)[picked].mean(axis=1), [0.025, 0.975])
    interval = paired_interval(first, second, resamples=20_000)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-4)


def test_identical_models_differ_by_exactly_nothing():
    _, first, _ = _users(300, 0)
    interval = paired_interval(first, first.copy())
    assert (interval.mean, interval.low, interval.high, interval.excludes_zero) == (0.0, 0.0, 0.0, False)


def test_it_is_paired():
    _, first, second = _users(300, 0)
    paired = paired_interval(first, second)
    shuffled = paired_interval(first, np.random.default_rng(0).permutation(second))
    assert paired.high - paired.low < (shuffled.high - shuffled.low) / 3
    assert paired.excludes_zero


def test_the_same_numbers_give_the_same_interval():
    _, first, second = _users(300, 0)
    assert paired_interval(first, second) == paired_interval(first, second)


def _candidate(label, *paths, model="LSTM4Rec"):
    outcomes = (Outcome(seed, f"{label}/seed-{seed}", RunFolder.open(path)) for seed, path in enumerate(paths))
    return Candidate(label, model, tuple(outcomes))


def _changed(finished_run, path, **parts):
    """A copy of a run with another split."""
    shutil.copytree(finished_run, path)
    run = RunFolder(path)
    run.save_split(Split(**{**vars(run.split()), **parts}))
    reseal(path)
    return path


def test_runs_over_different_splits_never_stand_in_one_table(finished_run, tmp_path):
    split = RunFolder.open(finished_run).split()
    other = _changed(finished_run, tmp_path / "other", test=split.test[:-1])
    candidates = [_candidate("a", finished_run), _candidate("b", other)]
    with pytest.raises(BadData, match=r"differ in test\.") as caught:
        compare(candidates, ["NDCG@10"], "a")
    assert caught.value.code == "splits_differ"


def test_the_same_split_written_by_another_library_is_the_same(finished_run, tmp_path):
    same = _changed(finished_run, tmp_path / "same")
    (same / "split.npz").write_bytes(b"")
    np.savez(same / "split.npz", **vars(RunFolder(finished_run).split()))
    reseal(same)
    check_one_split([_candidate("a", finished_run), _candidate("b", same)])


def test_the_means_are_those_that_training_wrote(finished_run):
    result = compare([_candidate("a", finished_run, finished_run)], ["NDCG@10", "HR@5"], "a")
    (model,) = result["models"]
    written = RunFolder.open(finished_run).metrics()["test"]
    for kind in ("masked", "unmasked"):
        for name in ("NDCG@10", "HR@5"):
            assert model[kind][name]["mean"] == pytest.approx(written[kind][name], abs=1e-12)
            assert model[kind][name]["std"] == 0


def test_models_are_tested_over_the_seeds_that_both_have(finished_run):
    several, one = _candidate("several", finished_run, finished_run), _candidate("one", finished_run)
    _, second = compare([several, one], ["NDCG@10"], "several")["models"]
    assert second["difference"]["seeds"] == [0]
    assert (second["difference"]["low"], second["difference"]["high"]) == (0, 0)
    missing = Candidate("two", "LSTM4Rec", (Outcome(7, "two/seed-7", None, "crashed"),))
    _, none = compare([one, missing], ["NDCG@10"], "one")["models"]
    assert none["difference"] is None
    assert none["runs"][0]["reason"] == "crashed"


def test_popularity_counts_the_training_events_of_the_split(finished_run):
    run = RunFolder.open(finished_run)
    split = run.split()
    counts = np.zeros(run.info.n_items, dtype=int)
    for user in range(len(split.offsets) - 1):
        for item in split.items[split.offsets[user] : split.offsets[user + 1] - 2]:  # without valid and test
            counts[item] += 1
    ranks = popularity(run)
    for row, rank in zip(ranks["row"], ranks["unmasked"], strict=True):
        target = split.items[row]
        assert rank == 1 + (counts > counts[target]).sum() + (counts[:target] == counts[target]).sum()
    result = compare([_candidate("a", finished_run), _candidate("p", model="popularity")], ["NDCG@10"], "a")
    assert result["models"][1]["masked"]["NDCG@10"]["mean"] > result["models"][1]["unmasked"]["NDCG@10"]["mean"]


def test_a_run_without_ranks_says_so(finished_run, tmp_path):
    """As older releases wrote it: it opens, and only this cannot be had."""
    shutil.copytree(finished_run, tmp_path / "old")
    (tmp_path / "old" / "ranks.npz").unlink()
    reseal(tmp_path / "old")
    with pytest.raises(BadData, match=r"has no ranks\.npz"):
        compare([_candidate("a", tmp_path / "old")], ["NDCG@10"], "a")
