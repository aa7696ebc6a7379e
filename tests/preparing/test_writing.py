"""The files of a data set: exact bytes, exact order, readable by what trains on them."""

import hashlib
import hmac

import pytest
import yaml

from seqrec_plugin import atomic
from seqrec_plugin.errors import SeqrecError
from seqrec_plugin.preparing import cleaning, privacy, recipe, writing
from seqrec_plugin.preparing.source import Source
from tests.conftest import AWKWARD
from tests.preparing.test_cleaning import events

COLUMNS = "user item time behavior number_0 feature_0 feature_1"
ROWS = [
    ("bob", "7", 5, "buy", 2.5, "Seven\tof \n nine", "toys"),
    ('an"na', "007", 0.5, "pv", 1.0, 'the "007"', ""),
    ("bob", "7", -3, "pv", 1e-7, "", "games"),
    ('an"na', "007", 0.5, "buy", 1.0, None, None),
]
SOURCE = Source(user="u", item="i", time="t", behavior="what", numbers=("Price: now",), features=("标题", "kind"))


def cleaned(rows, columns, source, text="", key=None, threads=1):
    import msgspec

    connection = events(rows, columns)
    connection.execute(f"SET threads = {threads}")
    chosen = msgspec.structs.replace(recipe.parse(text), source=source)
    chosen, _ = cleaning.clean(connection, chosen, lambda _: None, key=key)
    return connection, chosen


def test_users_stand_as_they_first_appear_each_in_order_of_time_and_line(tmp_path):
    connection, chosen = cleaned(ROWS, COLUMNS, SOURCE, "behaviors: {weights: {purchase: 4}}")
    writing.write_events(connection, tmp_path / "shop.inter", writing.fields(chosen))
    assert (tmp_path / "shop.inter").read_bytes().decode() == (
        "user_id:token\titem_id:token\torder:float\ttimestamp:float\tbehavior:token\tPrice_now:float\tweight:float\n"
        "bob\t7\t1\t1699999997\tview\t1e-07\t1.0\n"
        "bob\t7\t2\t1700000005\tpurchase\t2.5\t4.0\n"
        'an"na\t007\t1\t1700000000.5\tview\t1.0\t1.0\n'
        'an"na\t007\t2\t1700000000.5\tpurchase\t1.0\t4.0\n'
    )


def test_of_a_feature_the_last_that_is_not_empty_is_written(tmp_path):
    connection, chosen = cleaned(ROWS, COLUMNS, SOURCE)
    writing.write_items(connection, tmp_path / "shop.item", writing.fields(chosen))
    text = (tmp_path / "shop.item").read_bytes().decode()
    assert text == 'item_id:token\ttitle:token\tkind:token\n7\tSeven of   nine\tgames\n007\tthe "007"\t\n'
    assert atomic.titles(tmp_path / "shop.item") == {"7": "Seven of   nine", "007": 'the "007"'}


def test_ids_come_through_byte_for_byte(tmp_path):
    tokens = [*AWKWARD, "'", '"', '"quoted"', "a\\b", ",", ";", "#", "-", " ", "\u3000", "é", "e\u0301", "NULL", "0x1F"]
    connection, chosen = cleaned([(t, t, n) for n, t in enumerate(tokens)], "user item time", Source(behavior=None))
    writing.write_events(connection, tmp_path / "a.inter", writing.fields(chosen))
    table = atomic.read(tmp_path / "a.inter")
    assert table.column("user_id") == tokens
    assert table.column("item_id") == tokens


@pytest.mark.parametrize("micros", [0, 1, -1, 1_000_000, -1_500_000, 1_700_000_000_123_456, 1_700_000_000_100_000])
def test_times_are_exact_seconds(tmp_path, micros):
    connection = events([("a", "x", 0)])
    connection.execute("UPDATE events SET time = ?", [micros])
    chosen = recipe.parse("times: {after: '', before: ''}\nsource: {behavior: null}")
    chosen, _ = cleaning.clean(connection, chosen, lambda _: None)
    writing.write_events(connection, tmp_path / "a.inter", writing.fields(chosen))
    text = atomic.read(tmp_path / "a.inter").column("timestamp")[0]
    from decimal import Decimal

    assert Decimal(text) * 1_000_000 == micros
    assert not text.endswith((".", ".0"))


def test_without_times_there_is_only_the_order(tmp_path):
    connection, chosen = cleaned(
        [("a", "x", 5), ("a", "y", 3)], "user item time", Source(time_unit="position", behavior=None)
    )
    fields = writing.fields(chosen)
    writing.write_events(connection, tmp_path / "a.inter", fields)
    assert (tmp_path / "a.inter").read_text().splitlines() == [
        "user_id:token\titem_id:token\torder:float",
        "a\ty\t1",
        "a\tx\t2",
    ]
    assert "TIMESTAMP_FIELD" not in writing.training_defaults(fields, chosen)


def test_the_same_bytes_whatever_the_threads(tmp_path):
    rows = [(f"u{n * 7919 % 50}", f"i{n * 104729 % 30}", n * 31 % 17, n / 7) for n in range(400)]
    written = []
    for threads in (1, 2, 4):
        connection, chosen = cleaned(
            rows,
            "user item time number_0",
            Source(numbers=("x",), behavior=None),
            "k_core: {user: 2}\nsession_gap: 5",
            threads=threads,
        )
        writing.write_events(connection, tmp_path / "a.inter", writing.fields(chosen))
        written.append((tmp_path / "a.inter").read_bytes())
    assert written[0] == written[1] == written[2]
    assert written[0].count(b"\n") > 200


def test_names_of_columns_become_names_of_fields():
    source = Source(numbers=("order", "a b", "A_B", "a:b"), features=("name", "title", "Item_ID"), behavior=None)
    fields = writing.fields(recipe.Recipe(source=source))
    assert list(fields.numbers.values()) == ["order_2", "a_b", "A_B_2", "a_b_3"]
    assert list(fields.features.values()) == ["title", "title_2", "Item_ID_2"]


def test_what_a_training_is_told():
    text = "behaviors: {map: {pv: view, buy: purchase}, targets: [purchase]}\n"
    text += "numbers: {'Price: now': {log: true, scale: standard}}"
    _, chosen = cleaned(ROWS, COLUMNS, SOURCE, text)
    told = yaml.safe_load(writing.training_defaults(writing.fields(chosen), chosen))
    assert told == {
        "TIME_FIELD": "order",
        "TIMESTAMP_FIELD": "timestamp",
        "BEHAVIOR_FIELD": "behavior",
        "target_behaviors": ["purchase"],
        "NUMERIC_FIELDS": ["Price_now"],
        "NUMERIC_TRANSFORMS": {"Price_now": {"log": True, "scale": "standard"}},
        "load_col": {"inter": ["user_id", "item_id", "order"]},
    }


def test_pseudonyms_are_hmac_sha256_and_nothing_else_is_left(tmp_path):
    key = b"0123456789abcdef" * 5
    connection, chosen = cleaned(ROWS, COLUMNS, SOURCE, key=key)
    writing.write_events(connection, tmp_path / "shop.inter", writing.fields(chosen))
    users = list(dict.fromkeys(atomic.read(tmp_path / "shop.inter").column("user_id")))
    assert users == [hmac.new(key, u.encode(), hashlib.sha256).hexdigest()[:32] for u in ("bob", 'an"na')]
    tables = [row[0] for row in connection.execute("SHOW TABLES").fetchall()]
    left = [str(connection.execute(f'SELECT * FROM "{table}"').fetchall()) for table in tables]
    assert "bob" not in " ".join(left)


def test_a_pseudonym_has_its_session():
    key = b"0123456789abcdef"
    connection, _ = cleaned(
        [("bob", "x", 0), ("bob", "x", 99)], "user item time", Source(behavior=None), "session_gap: 5", key
    )
    users = [row[0] for row in connection.execute("SELECT user FROM events ORDER BY line").fetchall()]
    assert users[0].removesuffix("#1") == users[1].removesuffix("#2") != "bob"


def test_the_key_is_long_and_from_one_place(tmp_path, monkeypatch):
    file = tmp_path / "key"
    file.write_bytes(b"0123456789abcdef\r\n")
    monkeypatch.setenv("SEQREC_KEY", "0123456789abcdef")
    assert privacy.read_key(file) == privacy.read_key(None) == b"0123456789abcdef"
    for value, said in (("", "not set"), ("short", "at least 16")):
        monkeypatch.setenv("SEQREC_KEY", value)
        with pytest.raises(SeqrecError, match=said):
            privacy.read_key(None)


def test_rejected_rows_keep_their_line_and_can_lose_their_text(tmp_path):
    connection = events([("a", "x", 0)])
    connection.execute("CREATE TABLE rejects (file VARCHAR, line BIGINT, reason VARCHAR, text VARCHAR)")
    for row in [
        ("b.csv", 9, "too many", "anna\t1\\2\n"),
        ("b.csv", 3, 'the time "anna" is none', "x,anna"),
        ("a.csv", 12, "r", None),
    ]:
        connection.execute("INSERT INTO rejects VALUES (?, ?, ?, ?)", row)
    writing.write_rejected(connection, tmp_path / "r.tsv", text=True)
    assert (tmp_path / "r.tsv").read_text() == (
        'file\tline\treason\ttext\na.csv\t12\tr\t\nb.csv\t3\tthe time "anna" is none\tx,anna\n'
        "b.csv\t9\ttoo many\tanna\\t1\\\\2\\n\n"
    )
    privacy.hide_rejected(connection)
    writing.write_rejected(connection, tmp_path / "r.tsv", text=False)
    assert (
        tmp_path / "r.tsv"
    ).read_text() == "file\tline\treason\na.csv\t12\tr\nb.csv\t3\tthe time … is none\nb.csv\t9\ttoo many\n"


def test_a_folder_is_replaced_only_where_it_holds_a_data_set(tmp_path):
    for name in ("recipe.yaml", "shop.inter"):
        (tmp_path / "shop").mkdir(exist_ok=True)
        (tmp_path / "shop" / name).write_text("old")
    with pytest.raises(SeqrecError, match="--force"), writing.folder(tmp_path / "shop", False):
        pass
    with pytest.raises(KeyboardInterrupt), writing.folder(tmp_path / "shop", True) as fresh:
        (fresh / "shop.inter").write_text("new")
        raise KeyboardInterrupt
    assert (tmp_path / "shop" / "shop.inter").read_text() == "old"
    with writing.folder(tmp_path / "shop", True) as fresh:
        (fresh / "shop.inter").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["shop"]
    assert [path.name for path in (tmp_path / "shop").iterdir()] == ["shop.inter"]
    (tmp_path / "shop" / "notes.txt").write_text("mine")
    with pytest.raises(SeqrecError, match="no prepared data set"), writing.folder(tmp_path / "shop", True):
        pass
