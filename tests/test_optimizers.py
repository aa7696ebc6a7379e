"""The optimizer of rows: what moves, what stands still, what decay makes up for; and how the learning rate goes."""

import pytest
import torch

from seqrec_plugin.optimizers import RowAdamW, Together, step_size


def _gradient(rows, like, seed):
    values = torch.randn(len(rows), *like.shape[1:], generator=torch.Generator().manual_seed(seed), dtype=like.dtype)
    return torch.sparse_coo_tensor(torch.tensor([rows]), values, like.shape, check_invariants=True)


@pytest.mark.parametrize("shape", [(7,), (7, 3)])
def test_only_rows_with_a_gradient_move(shape):
    table = torch.nn.Parameter(torch.randn(shape))
    before = table.detach().clone()
    optimizer = RowAdamW([table], lr=0.1)
    table.grad = _gradient([2, 5, 2], table, 0)  # a row may come twice
    optimizer.step()
    moved = (table.detach() != before).reshape(7, -1).any(dim=1)
    assert moved.nonzero().squeeze(1).tolist() == [2, 5]


def test_a_table_of_scalars_goes_as_adamw_where_every_row_is_touched():
    """One value a row: the mean square of a row's gradient is its square."""
    ours = torch.nn.Parameter(torch.linspace(-1, 1, 5, dtype=torch.float64))
    theirs = torch.nn.Parameter(ours.detach().clone())
    optimizer = RowAdamW([ours], lr=0.01, weight_decay=0.1)
    reference = torch.optim.AdamW([theirs], lr=0.01, weight_decay=0.1)
    for seed in range(20):
        ours.grad = _gradient([0, 1, 2, 3, 4], ours, seed)
        theirs.grad = ours.grad.to_dense()
        optimizer.step()
        reference.step()
    # Decay multiplies by exp(−lr·λ) here and by 1 − lr·λ there.
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_decay_that_a_row_missed_is_made_up_for():
    table = torch.nn.Parameter(torch.ones(3, 2))
    optimizer = RowAdamW([table], lr=0.1, weight_decay=0.5)
    for step in range(10):
        table.grad = _gradient([0], table, step)
        optimizer.step()
    assert table[1].tolist() == [1, 1]
    optimizer.settle()
    assert table[1].tolist() == pytest.approx([torch.exp(torch.tensor(-0.5)).item()] * 2)
    settled = table.detach().clone()
    optimizer.settle()
    assert torch.equal(table, settled)


def test_it_goes_on_from_its_state():
    def trained(steps, cut):
        torch.manual_seed(0)
        table, weight = torch.nn.Parameter(torch.randn(6, 2)), torch.nn.Parameter(torch.randn(3))

        def made():
            return Together(torch.optim.Adam([weight], lr=0.1), RowAdamW([table], lr=0.1, weight_decay=0.1))

        optimizer = made()
        for step in range(steps):
            if step == cut:
                optimizer, state = made(), optimizer.state_dict()
                optimizer.load_state_dict(state)
            table.grad, weight.grad = _gradient([step % 6, (step + 1) % 6], table, step), torch.full((3,), float(step))
            optimizer.step()
        return table.detach(), weight.detach()

    for whole, resumed in zip(trained(9, -1), trained(9, 4), strict=True):
        assert torch.equal(whole, resumed)


def test_a_cosine_falls_from_the_whole_to_nothing_and_stays():
    shares = [step_size("cosine", step, 10) for step in range(13)]
    assert shares[0] == 1 and shares[5] == pytest.approx(0.5) and shares[10:] == [0, 0, 0]
    assert shares == sorted(shares, reverse=True)


def test_a_warmup_rises_to_the_learning_rate_itself():
    assert [step_size("constant", step, 100, warmup=3) for step in range(5)] == [0.25, 0.5, 0.75, 1, 1]
