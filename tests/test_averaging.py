"""The mean of the weights."""

import pytest
import torch

from seqrec_plugin.averaging import WeightAverage


def _adding(weight, change, rows=slice(None)):
    def step():
        with torch.no_grad():
            weight[rows] += change

    return step


def test_the_mean_forgets_at_the_decay_and_where_it_began():
    weight = torch.zeros(3)
    average = WeightAverage([weight], 0.5)
    expected, decays = torch.zeros(3), [0, 1 / 10, 2 / 11, 3 / 12, 4 / 13, 5 / 14, 6 / 15, 7 / 16, 8 / 17, 0.5, 0.5]
    for decay in decays:
        average.take(_adding(weight, torch.tensor([1.0, 2.0, -1.0])))
        expected = decay * expected + (1 - decay) * weight
    torch.testing.assert_close(average.state()[1][0], expected)


def test_weights_and_mean_are_exchanged_and_come_back():
    weight = torch.ones(2, requires_grad=True)
    average = WeightAverage([weight], 0.9)
    for _ in range(2):  # the second step's decay is 1 / 10
        average.take(_adding(weight, 1))
    average.swap()
    assert weight.tolist() == pytest.approx([2.9, 2.9])
    average.swap()
    assert weight.tolist() == [3.0, 3.0]


def test_a_mean_of_other_weights_is_refused():
    average = WeightAverage([torch.ones(2)], 0.9)
    with pytest.raises(ValueError, match="other weights"):
        average.load(1, [torch.ones(3)])


def test_the_mean_of_a_tables_rows_is_that_of_all_steps():
    """Brought up to date row by row, it is what a mean over the whole table would be."""
    torch.manual_seed(0)
    table = torch.randn(6, 2, dtype=torch.float64)
    plain = table.clone()
    lazy, whole = WeightAverage([torch.zeros(1)], 0.9, [table]), WeightAverage([plain], 0.9)
    for step in range(30):
        rows = torch.tensor([step % 4, 4])
        lazy.take(_adding(table, step, rows), [rows])
        whole.take(_adding(plain, step, rows))
    lazy.swap()
    whole.swap()
    torch.testing.assert_close(table, plain)
