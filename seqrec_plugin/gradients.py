"""One step of several processes: each has made gradients from its share of the targets, and all need the whole's.

Not torch's DistributedDataParallel: its hooks need the loss to come from `forward`, it takes the mean of processes and
not of targets, and a process without a share has no place in it. This is one sum a step.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from seqrec_plugin import distributed


@torch.no_grad()
def average(parameters: Iterable[nn.Parameter], weight: int) -> None:
    """Make each gradient the mean over all processes, each weighted by its number of targets.

    A loss is the mean over targets, so this mean of gradients is the gradient of the mean over all targets of the step:
    what one process would have found, but for the order of its sums. In one process nothing happens.

    Dense gradients travel as one buffer, of which they are views afterwards. A weight that has no gradient in one
    process counts as 0 there, and has none afterwards if it has none in any. Of a sparse gradient only the rows travel.

    Args:
        parameters: the same, in the same order, in every process; which of their gradients are sparse, too.
        weight: how many targets this process's loss is the mean over; 0 if it had none, and not all may have none.
    """
    if distributed.processes() == 1:
        return
    learned = [p for p in parameters if p.requires_grad]
    sparse = [p for p in learned if p.grad is not None and p.grad.is_sparse]
    dense = [p for p in learned if p.grad is None or not p.grad.is_sparse]
    total = _average_dense(dense, weight, learned[0])
    for parameter in sparse:
        assert parameter.grad is not None
        own = parameter.grad.coalesce()
        places, values = distributed.rows(own.indices().T.contiguous(), own.values() * weight)
        mean = torch.sparse_coo_tensor(places.T, values / total.to(values.dtype), own.shape)
        parameter.grad = mean.coalesce()


def _average_dense(parameters: list[nn.Parameter], weight: int, like: Tensor) -> Tensor:
    """Average dense gradients; returns the sum of all weights, a scalar on the device of `like`."""
    dtype = functools.reduce(torch.promote_types, (p.dtype for p in parameters), torch.float32)
    sizes = [p.numel() for p in parameters]
    buffer = torch.zeros(sum(sizes) + len(parameters) + 1, dtype=dtype, device=like.device)
    *parts, there, weights = buffer.split([*sizes, len(parameters), 1])
    weights.fill_(weight)
    for i, (parameter, part) in enumerate(zip(parameters, parts, strict=True)):
        if parameter.grad is not None:
            part.copy_(parameter.grad.flatten()).mul_(weight)
            there[i] = 1
            parameter.grad = None
    distributed.add(buffer)
    for parameter, part, holders in zip(parameters, parts, there.tolist(), strict=True):
        if holders:
            parameter.grad = part.div_(weights).view_as(parameter).to(parameter.dtype)
    total: Tensor = weights[0]
    return total
