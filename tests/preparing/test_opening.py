"""Files that are found, unpacked and decoded, and copies that do not stay."""

import pytest

from seqrec_plugin.errors import BadData, WrongUsage
from seqrec_plugin.preparing import decoding, opening
from seqrec_plugin.preparing.source import Source


def test_names_and_patterns_each_file_once_in_order(tmp_path):
    for name in ("b.csv", "a.csv", "c[1].csv"):
        (tmp_path / name).write_text("x")
    assert [path.name for path in opening.files([tmp_path / "b.csv", str(tmp_path / "*.csv")])] == [
        "b.csv",
        "a.csv",
        "c[1].csv",
    ]
    assert [path.name for path in opening.files([tmp_path / "c[1].csv"])] == ["c[1].csv"]


@pytest.mark.parametrize(
    ("name", "message"), [("no.csv", "no file"), ("*.tsv", "No file matches"), ("", "is a folder")]
)
def test_what_is_not_there(tmp_path, name, message):
    with pytest.raises(BadData, match=message) as error:
        opening.files([str(tmp_path / name)])
    assert error.value.code == "dataset_missing"


def test_a_file_with_a_pattern_in_its_name_is_read(read):
    assert read("user,item,time\nu,i,1511539200\n", "e[1]*.csv").events == 1
    assert read(b"\xef\xbb\xbf" + "用户,商品,时间\nu,i,1511539200\n".encode(), "e[2]?.csv").events == 1


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"PK\x03\x04xx", "a.zip", "a zip archive"),
        (b'[{"user": 1}]', "a.json", "one JSON array"),
        (b"user,item,time\nu,i,1\n", "a.jsonl", "no JSON object"),
        (b"PAR1 and no more", "a.parquet", "cannot be read as Parquet"),
        (b"user\nu\n", "a.csv", "no delimiter"),
        (b"user,item,time\nu;i;1\n", "a.csv", r"names 3 columns \(user, item, time\), but its rows have 1 fields"),
        (b"user,user,item,time\nu,u,i,1511539200\n", "a.csv", "none of the columns"),
    ],
)
def test_what_is_no_table_of_events(read, content, name, message):
    with pytest.raises(BadData, match=message) as error:
        read(content, name)
    assert error.value.exit_code == 3


def test_an_encoding_that_is_none(read):
    with pytest.raises(WrongUsage, match="no encoding 'latin-99'"):
        read("user,item,time\n", encoding="latin-99")


def test_a_file_that_is_clean_utf_8_is_read_where_it_is(read):
    path = read.file("user,item,time\r\nü,i,1\r\n")
    opened = opening.opened(path, Source(), read.folder)
    assert (opened.readable, opened.lines, opened.dirty) == (path, 2, False)


def test_copies_are_removed_when_they_are_read(read):
    before = set(read.folder.rglob("*.txt"))
    read("user,item,time\nü,i,1511539200\n".encode("utf-16"))
    assert set(read.folder.rglob("*.txt")) == before == set()


def test_characters_on_the_border_of_two_chunks(read, monkeypatch):
    monkeypatch.setattr(decoding, "CHUNK", 7)
    for encoding in ("utf-8", "utf-16", "gb18030"):
        path = read.file("商品,用户\r\n苹果,ü\r\nb,c".encode(encoding))
        opened = opening.opened(path, Source(encoding=encoding), read.folder)
        # Lines are longer than two of these chunks nowhere; a longer one would be marked.
        assert opened.lines == 3


def test_a_look_through_a_file_agrees_with_python_whatever_the_chunks(read, monkeypatch):
    texts = [b"a\r\nb\r\nc", b"a\nb\n", b"\xc3\xa4\n" * 5, b"a\r\nb\nc", b"ab\xc3", b"\xff\n", b"a\rb", b"\n\n", b""]
    for size in (1, 2, 3, 5, 100):
        monkeypatch.setattr(decoding, "CHUNK", size)
        for text in texts:
            path = read.file(text)
            with path.open("rb") as stream:
                found = decoding.survey(stream)
            assert found.lines == len(text.split(b"\n")) - (text.endswith(b"\n") or not text), (size, text)
            valid = b"\xff" not in text and not text.endswith(b"\xc3")
            assert (not found.sample) == valid, (size, text)
            one_end = text.count(b"\r") in (0, text.count(b"\n")) and (text.count(b"\r") == text.count(b"\r\n"))
            if size == 100:
                assert found.plain == (valid and one_end), text


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
@pytest.mark.parametrize("at", [0, 150, 300])
def test_one_torn_byte_does_not_change_the_encoding(read, encoding, at):
    rows = [f"u,苹果,{1700000000 + i}\n".encode(encoding) for i in range(300)]
    rows.insert(at, b"u,\x81\xff,1700000000\n")
    found = read("用户,商品,时间\n".encode(encoding) + b"".join(rows))
    assert (found.source.encoding, found.events, found.rejected) == (encoding, 300, 1)
    assert set(read.events("item")) == {("苹果",)}
