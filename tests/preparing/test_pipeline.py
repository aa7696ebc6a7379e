"""Cleaned, written, measured: one folder, the same bytes each time, and no user where there are pseudonyms."""

from types import SimpleNamespace

import msgspec

from seqrec_plugin import preparing
from seqrec_plugin.preparing import recipe
from seqrec_plugin.preparing.findings import Findings
from seqrec_plugin.preparing.source import Source
from tests.preparing.test_cleaning import events

KEY = b"0123456789abcdef"
SOURCE = Source(user="用户", item="sku", time="at", behavior="what", numbers=("price",), features=("title",))
ROWS = [
    (f"shopper{n % 7}", f"i{n * n % 11}", n * 13 % 90, ["pv", "buy"][n % 3 == 0], n / 4, f"Item {n * n % 11}")
    for n in range(60)
]
ROWS += ROWS[:5]


def build(folder, text="", key=None, source=SOURCE):
    connection = events(ROWS, "user item time behavior number_0 feature_0")
    connection.execute("CREATE TABLE rejects (file VARCHAR, line BIGINT, reason VARCHAR, text VARCHAR)")
    row = ["e.csv", 9, "the time of 'shopper3' is none", "shopper3,i1,?"]
    connection.execute("INSERT INTO rejects VALUES (?, ?, ?, ?)", row)
    read = SimpleNamespace(
        rejected=1,
        source=source,
        guesses=[SimpleNamespace(role="user", column="用户", why="values like 'shopper1'")],
        warnings=["the users '1' and '01' are two: 'shopper5'"],
    )
    folder.mkdir()
    chosen = msgspec.structs.replace(recipe.parse(text), source=source)
    found = preparing.build(connection, read, chosen, folder, "shop", lambda _: None, key=key, files=["e.csv"])
    return found, {path.name: path.read_bytes() for path in folder.iterdir()}


def test_one_folder_holds_it_all(tmp_path):
    found, files = build(tmp_path / "a")
    assert sorted(files) == sorted(
        ["shop.inter", "shop.item", "shop.yaml", "recipe.yaml", "report.json", "report.html", "rejected.tsv"]
    )
    assert Findings.decode(files["report.json"]) == found
    assert [(step.name, step.removed) for step in found.steps] == [
        ("read", 1),
        ("impossible times", 0),
        ("duplicates", 5),
    ]
    assert found.events == 60 == files["shop.inter"].count(b"\n") - 1
    assert [behavior.name for behavior in found.funnel.all] == ["view", "purchase"]
    resolved = recipe.read(tmp_path / "a" / "recipe.yaml")
    assert resolved.source == SOURCE
    assert resolved.behaviors.map == {"pv": "view", "buy": "purchase"}


def test_the_same_bytes_again_and_from_the_resolved_recipe(tmp_path):
    text = "k_core: {user: 3, item: 2}\nsession_gap: 30\noutliers: {price: zscore}"
    _, first = build(tmp_path / "a", text)
    _, again = build(tmp_path / "b", text)
    _, resolved = build(tmp_path / "c", first["recipe.yaml"].decode())
    assert first == again == resolved


def test_no_users_id_is_left_where_there_are_pseudonyms(tmp_path):
    _, open_files = build(tmp_path / "a")
    assert all(b"shopper" in open_files[name] for name in ("shop.inter", "rejected.tsv"))
    _, files = build(tmp_path / "b", "pseudonymize: true", KEY)
    for name, content in files.items():
        assert b"shopper" not in content, name
        assert KEY not in content, name
    assert files["rejected.tsv"].decode() == "file\tline\treason\ne.csv\t9\tthe time of … is none\n"
