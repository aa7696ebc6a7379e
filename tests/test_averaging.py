"""The mean of the weights, and how the learning rate goes."""

import pytest
import torch

from seqrec_plugin.averaging import WeightAverage, step_size


def test_the_mean_forgets_at_the_decay_and_where_it_began():
    weight = torch.zeros(3)
    average = WeightAverage([weight], 0.5)
    expected, decays = torch.zeros(3), [0, 1 / 10, 2 / 11, 3 / 12, 4 / 13, 5 / 14, 6 / 15, 7 / 16, 8 / 17, 0.5, 0.5]
    for decay in decays:
        weight += torch.tensor([1.0, 2.0, -1.0])
        average.update()
        expected = decay * expected + (1 - decay) * weight
    torch.testing.assert_close(average.state()[1][0], expected)


def test_weights_and_mean_are_exchanged_and_come_back():
    weight = torch.ones(2, requires_grad=True)
    average = WeightAverage([weight], 0.9)
    with torch.no_grad():
        weight += 1
    average.update()
    with torch.no_grad():
        weight += 1
    average.update()  # the second step's decay is 1 / 10
    average.swap()
    assert weight.tolist() == pytest.approx([2.9, 2.9])
    average.swap()
    assert weight.tolist() == [3.0, 3.0]


def test_a_mean_of_other_weights_is_refused():
    average = WeightAverage([torch.ones(2)], 0.9)
    with pytest.raises(ValueError, match="other weights"):
        average.load(1, [torch.ones(3)])


def test_a_cosine_falls_from_the_whole_to_nothing_and_stays():
    shares = [step_size("cosine", step, 10) for step in range(13)]
    assert shares[0] == 1 and shares[5] == pytest.approx(0.5) and shares[10:] == [0, 0, 0]
    assert shares == sorted(shares, reverse=True)


def test_a_warmup_rises_to_the_learning_rate_itself():
    assert [step_size("constant", step, 100, warmup=3) for step in range(5)] == [0.25, 0.5, 0.75, 1, 1]
