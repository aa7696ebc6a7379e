"""An optimizer for tables of which a step touches few rows; several as one; the course of the learning rate."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class RowAdamW(torch.optim.Optimizer):
    """AdamW (Loshchilov & Hutter, 2019) of the rows that a step touches, with one second moment a row.

    As in torch's `SparseAdam`, moments of untouched rows stand still. The second moment is that of a row's mean square
    gradient (as in row-wise Adagrad, Gupta et al., 2014), so that the state is little more than the table again. The
    weight decay of the steps in which a row was not touched is made up for when it is.

    Args:
        params: each float [n] or [n, width], with sparse gradients.
        lr: step size.
        betas, eps: as Adam has them.
        weight_decay: decoupled, a share of lr.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update the rows that have a gradient."""
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None:
                    self._step(group, table, table.grad.coalesce())

    def _step(self, group: dict[str, Any], table: Tensor, gradient: Tensor) -> None:
        state = self.state[table]
        if not state:
            state["step"] = 0
            state["mean"] = torch.zeros_like(table)
            state["square"] = table.new_zeros(len(table))
            state["decay"] = 0.0  # the sum of all steps' decay, as the exponent of e
            state["decayed"] = table.new_zeros(len(table))  # how much of it each row has had
        (first, second), lr = group["betas"], group["lr"]
        state["step"] += 1
        rows, values = gradient.indices()[0], gradient.values()
        flat = values.reshape(len(rows), -1)

        state["decay"] += lr * group["weight_decay"]
        kept = torch.exp(state["decayed"][rows] - state["decay"])
        state["decayed"][rows] = state["decay"]
        mean = state["mean"][rows].lerp_(values, 1 - first)
        square = state["square"][rows].lerp_(flat.square().mean(dim=1), 1 - second)
        state["mean"][rows], state["square"][rows] = mean, square
        scale = (square / (1 - second ** state["step"])).sqrt_().add_(group["eps"])
        update = mean / _column(scale, table) * (lr / (1 - first ** state["step"]))
        table[rows] = table[rows] * _column(kept, table) - update

    @torch.no_grad()
    def settle(self) -> None:
        """Decay each row by what it has missed: after this the tables are as if every step had touched every row."""
        for group in self.param_groups:
            for table in group["params"]:
                if state := self.state[table]:
                    table *= _column(torch.exp(state["decayed"] - state["decay"]), table)
                    state["decayed"].fill_(state["decay"])


def _column(x: Tensor, table: Tensor) -> Tensor:
    """[n] → [n, 1] for a table of vectors."""
    return x.reshape(-1, *[1] * (table.dim() - 1))


class Together:
    """Several optimizers as one, each for its own weights."""

    def __init__(self, *optimizers: torch.optim.Optimizer) -> None:
        self.optimizers = optimizers

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Those of all."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """See torch."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=set_to_none)

    def step(self) -> None:
        """See torch."""
        for optimizer in self.optimizers:
            optimizer.step()

    def settle(self) -> None:
        """See `RowAdamW.settle`."""
        for optimizer in self.optimizers:
            if isinstance(optimizer, RowAdamW):
                optimizer.settle()

    def state_dict(self) -> dict[str, Any]:
        """See torch."""
        return {str(i): optimizer.state_dict() for i, optimizer in enumerate(self.optimizers)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See torch."""
        for i, optimizer in enumerate(self.optimizers):
            optimizer.load_state_dict(state[str(i)])


def step_size(schedule: str, step: int, steps: int, warmup: int = 0) -> float:
    """The share of the learning rate at a step.

    Args:
        schedule: `constant`, or `cosine`: ½(1 + cos(π·step/steps)) (Loshchilov & Hutter, 2017, without restarts).
        step: from 0; from `steps` on a cosine stays at 0.
        steps: in which the cosine falls to 0.
        warmup: steps in which the share rises linearly from nearly nothing, besides (Goyal et al., 2017).
    """
    share = 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, steps)))) if schedule == "cosine" else 1.0
    return share * min(1.0, (step + 1) / (warmup + 1))
