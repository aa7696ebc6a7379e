"""Several processes that train one model: which one this is, and how they agree.

`torchrun` starts them, each with its place in the environment. In one process nothing here does anything: what is
shared or gathered is what one has. torch is loaded only where there are several.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from seqrec_plugin.errors import Failed

if TYPE_CHECKING:
    from torch import Tensor, nn

T = TypeVar("T")

#: Seconds for which an error of another process waits: what all of them find, the first one tells in its words.
_PRECEDENCE = 3.0


@dataclass
class _Place:
    """This process among the others.

    `store` holds what the first to fail had to say, `folder` is for what nobody keeps, `gpus` is nccl's group.
    """

    rank: int
    processes: int
    store: Any
    folder: Path
    gpus: Any = field(default=None)


_place: _Place | None = None


def launched() -> bool:
    """Whether torchrun started this process beside others."""
    started = all(name in os.environ for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"))
    return started and os.environ["WORLD_SIZE"] not in ("", "0", "1")


def torchrun(processes: int = 2) -> str:
    """How several processes of one machine are started, for hints."""
    return f"torchrun --nproc-per-node {processes} -m seqrec_plugin.cli train CONFIG -o RUN"


def local_rank() -> int:
    """This process's number among those of its machine; its GPU has the same."""
    return int(os.environ["LOCAL_RANK"]) if launched() else 0


def local_processes() -> int:
    """How many processes torchrun started on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1)) if launched() else 1


def rank() -> int:
    """This process's number; the first, 0, alone writes and speaks."""
    return 0 if _place is None else _place.rank


def processes() -> int:
    """How many train together."""
    return 1 if _place is None else _place.processes


def first() -> bool:
    """Whether this process is the one that writes and speaks."""
    return rank() == 0


@contextlib.contextmanager
def started() -> Iterator[None]:
    """All processes that torchrun started are a group until the block ends; else nothing happens.

    The group's own messages go by gloo. Tensors on a GPU take nccl, from when the first one comes.

    Raises:
        Failed: `training_failed` where they do not reach each other.
    """
    global _place
    if not launched():
        yield
        return
    import torch.distributed as dist
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    try:
        store, number, count = next(rendezvous("env://"))
        dist.init_process_group("gloo", store=PrefixStore("group", store), rank=number, world_size=count)
    except (RuntimeError, ValueError) as error:
        raise Failed(
            "training_failed",
            f"The processes do not reach each other: {str(error).partition(chr(10))[0]}",
            "Set GLOO_SOCKET_IFNAME to the network interface that all machines share, such as eth0.",
        ) from error
    # torchrun ends the others when one has failed: what was begun is tidied up.
    signal.signal(signal.SIGTERM, _end)
    with tempfile.TemporaryDirectory(prefix="seqrec-") as folder:
        _place = _Place(number, count, PrefixStore("seqrec", store), Path(folder))
        yield
    with _talking():
        dist.barrier()
        dist.destroy_process_group()
    _place = None


def _end(*_: object) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)


def tell(words: str) -> str | None:
    """What this process is to say of an error: what went wrong first is told once on each machine.

    Call it before the process ends, for the others fail by its end.

    Args:
        words: the error, as it is told where there is one process.

    Returns:
        what to say, which may be another process's words; None for nothing.
    """
    if _place is None:
        return words if local_rank() == 0 else None
    store = _place.store
    try:
        if not first():
            with contextlib.suppress(RuntimeError):
                store.wait(["error"], timedelta(seconds=_PRECEDENCE))
        found: str = store.compare_set("error", "", words).decode()
        told = store.add(f"told on {os.environ.get('GROUP_RANK', '0')}", 1)
    except RuntimeError:
        return None  # it is the first process that held them, and it has spoken
    if told > 1:
        return None
    _put_into_report(found)
    return found


def _put_into_report(words: str) -> None:
    """torchrun ends with a report of its own, and shows there what is in this file."""
    if file := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        content = {"message": {"message": words, "extraInfo": {"timestamp": str(int(time.time()))}}}
        with contextlib.suppress(OSError):
            Path(file).write_text(json.dumps(content), encoding="utf-8")


def own_folder(output: Path) -> Path:
    """Where this process writes: the first one to `output`, another to a place that goes with the group."""
    return output if _place is None or first() else _place.folder / "run"


@contextlib.contextmanager
def _talking() -> Iterator[None]:
    """A process that has ended is told as such."""
    try:
        yield
    except RuntimeError as error:
        if "gloo" not in str(error).lower() and "nccl" not in str(error).lower():
            raise
        raise Failed(
            "training_failed",
            "Another process of this training has ended without a word: killed, out of memory, or cut off.",
            "What was trained so far is kept: give the same command with --resume.",
        ) from error


def share(value: T) -> T:
    """The first process's value, for all: numbers, texts and tensors, in lists and dicts."""
    if _place is None:
        return value
    found: T = _decoded(_broadcast(_encoded(value) if first() else b""))
    return found


def gather(value: T) -> list[T]:
    """Every process's value, in their order; of the same kinds as for `share`."""
    if _place is None:
        return [value]
    import torch

    own = torch.frombuffer(bytearray(_encoded(value)), dtype=torch.uint8)
    sizes = _sizes(len(own))
    (found,) = rows(own)
    return [_decoded(part.numpy().tobytes()) for part in found.split(sizes)]


def share_file(file: Path) -> None:
    """The first process's file is every process's, each under its own name; where it has none, nobody has."""
    if _place is not None and share(file.is_file()):
        data = _broadcast(file.read_bytes() if first() else b"")
        if not first():
            file.write_bytes(data)


def share_weights(model: nn.Module) -> None:
    """The first process's weights and buffers are every process's."""
    if _place is None:
        return
    import torch.distributed as dist

    with _talking():
        for tensor in model.state_dict().values():
            dist.broadcast(tensor, 0, group=_group(tensor))


def add(tensor: Tensor) -> None:
    """Sum a tensor over all processes, in place."""
    if _place is None:
        return
    import torch.distributed as dist

    with _talking():
        dist.all_reduce(tensor, group=_group(tensor))


def rows(*tensors: Tensor) -> list[Tensor]:
    """The rows of all processes' tensors, one process's after the other's.

    Args:
        tensors: [n, any …] each, of one n, which differs between processes; the rest is everywhere the same.

    Returns:
        [sum of all n, any …] each.
    """
    if _place is None:
        return list(tensors)
    import torch
    import torch.distributed as dist

    own = len(tensors[0])
    sizes = _sizes(own)
    found = []
    with _talking():
        for tensor in tensors:
            padded = tensor.new_zeros(max(sizes), *tensor.shape[1:])
            padded[:own] = tensor
            parts = [torch.empty_like(padded) for _ in sizes]
            dist.all_gather(parts, padded, group=_group(tensor))
            found.append(torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)]))
    return found


def _sizes(own: int) -> list[int]:
    import torch
    import torch.distributed as dist

    parts = [torch.zeros(1, dtype=torch.int64) for _ in range(processes())]
    with _talking():
        dist.all_gather(parts, torch.tensor([own]))
    return [int(part) for part in parts]


def _broadcast(data: bytes) -> bytes:
    import torch
    import torch.distributed as dist

    size = torch.tensor([len(data)])
    with _talking():
        dist.broadcast(size, 0)
        buffer = torch.empty(int(size), dtype=torch.uint8)
        if first():
            buffer = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        dist.broadcast(buffer, 0)
    return buffer.numpy().tobytes()


def _encoded(value: Any) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.save(value, buffer, pickle_protocol=2)
    return buffer.getvalue()


def _decoded(data: bytes) -> Any:
    import torch

    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _group(tensor: Tensor) -> Any:
    """The group that carries a tensor; None is the one of all processes, by gloo."""
    assert _place is not None
    if tensor.device.type != "cuda":
        return None
    if _place.gpus is None:
        import torch.distributed as dist

        _place.gpus = dist.new_group(backend="nccl")
    return _place.gpus
