"""The configuration that `seqrec init config` writes: complete, commented, at the defaults, and it trains."""

from __future__ import annotations

import dataclasses
import itertools
import re
from pathlib import Path

import pytest

from seqrec_plugin import registry
from seqrec_plugin.errors import WrongUsage
from seqrec_plugin.recbole_bridge import keys
from seqrec_plugin.recbole_bridge.settings import resolve
from seqrec_plugin.recbole_bridge.template import template
from tests.conftest import Silent

#: Set where nobody has a choice, or where a file would say nothing.
SILENT = {"loss_type", "train_neg_sample_args", "show_progress"}


def written(folder: Path, model: str, dataset: str = "shop", data_path: str | None = None) -> Path:
    file = folder / f"{model}.yaml"
    file.write_text(template(model, file, dataset, data_path), encoding="utf-8")
    return file


@pytest.mark.parametrize("dataset", ["ml-100k", "shop"])
@pytest.mark.parametrize("model", [*registry.names(), "GRU4Rec", "SASRec", "FPMC"])
def test_it_has_every_option_at_its_default(model: str, dataset: str, tmp_path: Path) -> None:
    (tmp_path / "least.yaml").write_text(f"model: {model}\ndataset: {dataset}\n")
    least, complete = resolve(tmp_path / "least.yaml"), resolve(written(tmp_path, model, dataset))
    assert complete.values == least.values
    here = {key for key, setting in complete.settings.items() if setting.source.endswith(".yaml")}
    ours = {key for key, setting in least.settings.items() if setting.source != "RecBole"}
    assert here >= ours - SILENT
    for key in ("epochs", "learning_rate", "learner", "seed", "data_path", "MAX_ITEM_LIST_LENGTH", "eval_args"):
        assert key in here


@pytest.mark.parametrize("model", [*registry.names(), "SASRec"])
def test_every_line_says_what_it_means(model: str, tmp_path: Path) -> None:
    lines = written(tmp_path, model).read_text(encoding="utf-8").splitlines()
    for before, line in itertools.pairwise(lines):
        assert len(line) <= 120, line
        if re.match(r"(?!model:|dataset:)\w+:", line):
            assert re.search(r"# \(\w[\w ]*\) \w", line) or re.match(r"# \(\w[\w ]*\) \w", before), line


@pytest.mark.parametrize("model", registry.names())
def test_it_trains(model: str, mixed: Path, tmp_path: Path) -> None:
    from seqrec_plugin.training import train

    names = [field.name for field in dataclasses.fields(registry.load(model).Config)]
    small = [f"{name}=8" for name in names if name.endswith("_size")]
    small += ["num_layers=1"] if "num_layers" in names else []
    file = written(tmp_path, model, "mixed", str(mixed))
    run = train(resolve(file, [*small, "epochs=1", "MAX_ITEM_LIST_LENGTH=8"]), tmp_path / "run", Silent())
    assert run.finished and run.info.model == model


BOUNDED = [key for key in (*keys.DATA, *keys.TRAINING, *keys.EVALUATION) if key.range.startswith(("at least", "above"))]


@pytest.mark.parametrize("key", BOUNDED, ids=lambda key: key.name)
def test_a_range_that_it_tells_is_kept(key: keys.Key, tmp_path: Path) -> None:
    bound = float(key.range.split()[-1])
    below = bound if key.range.startswith("above") else bound - 1
    file = written(tmp_path, "LSTM4Rec")
    with pytest.raises(WrongUsage, match=key.name):
        resolve(file, [f"{key.name}={below:g}"])
