"""New titles on an old run: `seqrec export --titles`."""

import pytest
from click.testing import CliRunner

from seqrec_plugin.cli import main
from seqrec_plugin.errors import SeqrecError
from seqrec_plugin.runtime import Recommender
from seqrec_plugin.titles import match, read
from seqrec_plugin.vocabulary import Vocabulary


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", '﻿item_id,title\r\n007,"Bond, James"\r\n苹果,Apple\r\nNA,\r\n'),
        ("t.csv", 'price,Title,SKU\n1,"Bond, James",007\n2,Apple,苹果\n'),
        ("t.tsv", "item\tname\n007\tBond, James\n苹果\tApple\n"),
        ("t.txt", "code\ttitle\n007\tBond, James\n苹果\tApple\n"),
        ("t.item", "item_id:token\ttitle:token_seq\n007\tBond, James\n苹果\tApple\n"),
    ],
)
def test_each_kind_of_file_is_read_with_ids_as_they_are(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    assert read(tmp_path / name) == {"007": "Bond, James", "苹果": "Apple"}


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("t.csv", b"", "empty"),
        ("t.csv", b"a,b,c\n1,2,3\n", "Call them item_id and title"),
        ("t.csv", b"item_id,title\n1,a,b\n", "line 2: 3 fields"),
        ("t.csv", b"item_id,title\n1,\xff\n", "line 2: not text"),
        ("t.csv", b"item_id,title\n1,a\n1,b\n", "two titles"),
        ("t.csv", b"item_id,title\n1,\n", "holds no title"),
        ("t.xlsx", b"PK", "must be an .item"),
        ("none.csv", None, "no file"),
        ("none.item", None, "no file"),
    ],
)
def test_a_file_that_will_not_do_is_said_so(tmp_path, name, data, words):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(SeqrecError, match=words):
        read(tmp_path / name)


def test_new_titles_count_and_the_others_stay(tmp_path):
    found = match(Vocabulary(["1", "2", "3"], ["one", None, "three"]), {"1": "uno", "2": "dos", "9": "x"}, tmp_path)
    assert found.vocabulary.titles == ("uno", "dos", "three")
    assert (found.titled, found.strange) == (2, 1)
    with pytest.raises(SeqrecError, match="like '1', the file's like '01'"):
        match(Vocabulary(["1"]), {"01": "x"}, tmp_path)


def test_a_run_is_exported_with_them(finished_run, tmp_path):
    (tmp_path / "t.csv").write_text("item_id,title\n007,Bond\n苹果,Apple\nnowhere,Nothing\n", encoding="utf-8")
    words = ["export", str(finished_run), "-o", str(tmp_path / "bundle"), "--titles", str(tmp_path / "t.csv")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert "ok  titles: 2 of 40 items have theirs from t.csv; it names 1 that the model does not know" in done.stdout
    vocabulary = Recommender.load(tmp_path / "bundle").vocabulary
    assert [vocabulary.title(vocabulary.index(item)) for item in ("007", "苹果", "NA")] == ["Bond", "Apple", "The NA"]
    (tmp_path / "t.csv").write_text("item_id,title\n7,Bond\n")
    assert CliRunner().invoke(main, [*words, "--force"]).exit_code == 3
    assert Recommender.load(tmp_path / "bundle").vocabulary.title(1) == vocabulary.title(1)
