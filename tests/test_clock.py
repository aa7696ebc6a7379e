"""Order from one field, gaps from another: `TIMESTAMP_FIELD`."""

import numpy as np
import pytest

from seqrec_plugin.checkpoint import WEIGHTS_FILE
from seqrec_plugin.errors import BadData
from seqrec_plugin.recbole_bridge.settings import resolve
from seqrec_plugin.training import train
from tests.conftest import Silent, random_rows

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

HEADER = "user_id:token\titem_id:token\torder:float\ttimestamp:float"


def _write(folder, rows):
    """A data set whose rows lie in exact order, with a position and a time each."""
    (folder / "shop").mkdir()
    lines = [HEADER, *("\t".join(map(str, row)) for row in rows)]
    (folder / "shop" / "shop.inter").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "shop" / "shop.yaml").write_text("TIME_FIELD: order\nTIMESTAMP_FIELD: timestamp\n")
    return folder / "shop"


@pytest.fixture
def rows():
    """(user, item, position, time), in order of time within a user."""
    seen = {}
    found = []
    for user, item, time in sorted(random_rows(users=25, items=15), key=lambda row: int(row[2])):
        seen[user] = seen.get(user, 0) + 1
        found.append((user, item, seen[user], time))
    return found


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "time.yaml"
    path.write_text(
        "model: TimeLSTM4Rec\nembedding_size: 8\nhidden_size: 8\nnum_layers: 1\nepochs: 2\ndataset: none\n"
        "train_batch_size: 128\nMAX_ITEM_LIST_LENGTH: 6\n"
    )
    return path


def test_the_same_gaps_and_the_same_model_as_with_one_field_for_both(rows, file, tmp_path):
    # One order over all users, as times have one: items are numbered as they come.
    data = _write(tmp_path, [(user, item, at, time) for at, (user, item, _, time) in enumerate(rows)])
    both = train(resolve(file, data=data), tmp_path / "both", Silent())
    one = train(resolve(file, ["TIME_FIELD=timestamp", "TIMESTAMP_FIELD=''"], data), tmp_path / "one", Silent())
    np.testing.assert_array_equal(both.split().columns.time, one.split().columns.time)
    np.testing.assert_array_equal(both.split().items, one.split().items)
    assert (both.path / WEIGHTS_FILE).read_bytes() == (one.path / WEIGHTS_FILE).read_bytes()
    assert both.metrics() == one.metrics()


def test_an_order_within_each_user_gives_each_event_its_own_gap(rows, file, tmp_path):
    split = train(resolve(file, ["epochs=1"], _write(tmp_path, rows)), tmp_path / "run", Silent()).split()
    users = {}
    for user, _, _, time in rows:
        users.setdefault(user, []).append(float(time))
    found = [split.columns.time[a:b].tolist() for a, b in zip(split.offsets[:-1], split.offsets[1:], strict=True)]
    assert sorted(found) == sorted(users.values())


def test_positions_alone_give_gaps_of_one(rows, file, tmp_path):
    data = _write(tmp_path, rows)
    run = train(resolve(file, ["TIMESTAMP_FIELD=''", "epochs=1"], data), tmp_path / "run", Silent())
    split = run.split()
    gaps = np.delete(np.diff(split.columns.time), split.offsets[1:-1] - 1)
    assert set(gaps.tolist()) == {1.0}


def test_a_model_that_reads_no_gaps_does_not_need_the_field(rows, file, tmp_path):
    data = _write(tmp_path, rows)
    run = train(
        resolve(file, ["model=LSTM4Rec", "TIMESTAMP_FIELD=nowhere", "epochs=1"], data), tmp_path / "r", Silent()
    )
    assert run.split().columns.time is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: [(*row[:3], "soon") if i == 9 else row for i, row in enumerate(r)], "line 11"),
        (lambda r: [(*row[:3], row[3] + "000") if i == 9 else row for i, row in enumerate(r)], "mixed"),
        (lambda r: [(*row[:3], "") if i == 9 else row for i, row in enumerate(r)], "empty"),
        (lambda r: [(*row[:3], str(2 * 10**9 - 10 * row[2])) for row in r], "before that of the user's"),
    ],
)
def test_times_that_cannot_be_are_refused_before_training(rows, file, tmp_path, change, words):
    data = _write(tmp_path, change(rows))
    with pytest.raises(BadData, match=words):
        train(resolve(file, data=data), tmp_path / "run", Silent())


def test_a_field_that_is_not_there_is_said_so(rows, file, tmp_path):
    data = _write(tmp_path, rows)
    with pytest.raises(BadData, match="Set TIMESTAMP_FIELD to one of"):
        train(resolve(file, ["TIMESTAMP_FIELD=time"], data), tmp_path / "run", Silent())
