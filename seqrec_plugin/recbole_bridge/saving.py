"""What a training leaves on disk to go on from: plain values and tensors, and the state of each random generator."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch


def save(file: Path, content: dict[str, Any]) -> None:
    """`torch.save` in the one pickle protocol that the safe loader reads, written beside and renamed."""
    beside = file.with_name(f".{file.name}.part")
    torch.save(content, beside, pickle_protocol=2)
    os.replace(beside, file)


def get_random(generator: torch.Generator) -> dict[str, Any]:
    """The state of every random generator, as plain values and tensors."""
    name, keys, position, has_gauss, gauss = cast(tuple[str, Any, int, int, float], np.random.get_state())
    version, words, next_gauss = random.getstate()
    state = {
        "torch": torch.get_rng_state(),
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, gauss],
        "python": [version, list(words), next_gauss],
        "loader": generator.get_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_random(state: dict[str, Any], generator: torch.Generator) -> None:
    """Set every random generator to a state of `get_random`."""
    torch.set_rng_state(state["torch"].cpu())
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), *rest))
    version, words, next_gauss = state["python"]
    random.setstate((version, tuple(words), next_gauss))
    generator.set_state(state["loader"].cpu())
    if "cuda" in state:
        torch.cuda.set_rng_state_all([s.cpu() for s in state["cuda"]])
