"""Every row of a file is an event or is set aside, and ids are what they were."""

import gzip
import json
import random

import pytest

from seqrec_plugin.errors import BadData
from seqrec_plugin.preparing import reading, rows
from seqrec_plugin.preparing.source import Source

SHOP = [("u1", "苹果", "1700000000"), ("u2", "007", "1700000007"), ("u1", "b c", "1700000014")]
MICROS = [(user, item, int(time) * 1_000_000) for user, item, time in SHOP]


def _csv(delimiter: str = ",", header: str = "user_id,item_id,timestamp", end: str = "\n") -> str:
    return "".join(f"{line}{end}" for line in [header.replace(",", delimiter), *map(delimiter.join, SHOP)])


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|", "::"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_delimiter_and_line_end(read, delimiter, end):
    found = read(_csv(delimiter, end=end))
    assert (found.events, found.rejected, read.events()) == (3, 0, MICROS)
    assert found.source.delimiter == delimiter


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "gb18030", "utf-32"])
def test_any_encoding(read, encoding):
    read(_csv(header="用户,商品,时间").encode(encoding))
    assert read.events() == MICROS


def test_latin_1_is_told_from_gb18030(read):
    rows = [f"José{i},café crème n°{i},17000000{i:02}" for i in range(20)]
    found = read("\n".join(["user,item,time", *rows]).encode("latin-1"))
    assert (found.source.encoding, read.events()[3][:2]) == ("latin-1", ("José3", "café crème n°3"))


def test_gzip_and_zstd(read):
    import zstandard

    read(gzip.compress(_csv().encode()), "events.csv.gz")
    assert read.events() == MICROS
    read(zstandard.compress(_csv().encode("gb18030")), "events.csv.zst")
    assert read.events() == MICROS
    with pytest.raises(BadData, match="damaged gzip"):
        read(gzip.compress(_csv().encode() * 999)[:-100], "cut.csv.gz")


def test_json_lines_and_parquet(read):
    names = ("user", "item", "time")
    lines = [json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) for row in SHOP]
    read("\n".join(lines), "events.jsonl")
    assert read.events() == MICROS
    path = read.folder / "events.parquet"
    values = ", ".join(f"('{user}', '{item}', to_timestamp({time}))" for user, item, time in SHOP)
    read.connection.execute(f"COPY (FROM (VALUES {values}) AS t(\"user\", item, time)) TO '{path}'")
    found = read.files([path])
    assert (read.events(), found.source.time_unit) == (MICROS, "iso")


def test_several_files_are_one_in_the_order_of_their_names(read):
    read.file("user,item,time\na,x,1700000002\n\na,x,bad\n", "part-1.csv")
    read.file("time;user;item\n1700000001;b;y\n", "part-2.csv")
    read.file("", "part-3.csv")
    found = read.files([str(read.folder / "part-*.csv")])
    assert read.events("line, user, time // 1000000") == [(1, "a", 1700000002), (4, "b", 1700000001)]
    assert read.connection.execute("SELECT file, line FROM rejects").fetchall() == [
        (str(read.folder / "part-1.csv"), 4)
    ]
    assert any("part-3.csv is empty" in warning for warning in found.warnings)
    assert found.source.delimiter == ""  # the files differ, so the recipe cannot say


def test_a_later_file_without_a_column_is_named(read):
    paths = [read.file("user,item,time\na,x,1700000002\n"), read.file("user,article,time\n", "b.csv")]
    with pytest.raises(BadData, match=r"b\.csv has no column 'item'"):
        read.files(paths)


def test_ids_are_byte_for_byte_and_look_alikes_are_told(read):
    ids = ["1", "1.0", "01", " lead", "trail ", "NA", "null", "1e5", "True", "ünï", "'q", 'in "quotes"']
    lines = [
        f"{item if chr(34) not in item else chr(34) + item.replace(chr(34), chr(34) * 2) + chr(34)}" for item in ids
    ]
    found = read("user,item,time\n" + "".join(f"u,{item},{1700000000 + i}\n" for i, item in enumerate(lines)))
    assert [row[1] for row in read.events()] == ids
    assert any("different items" in warning for warning in found.warnings)
    assert any("begin or end with a space" in warning for warning in found.warnings)


def test_users_that_look_alike_are_not_named_in_the_warning(read):
    found = read("user,item,time\n7312,x,1700000000\n07312,x,1700000001\n")
    assert any("different users" in warning for warning in found.warnings)
    assert not any("7312" in text for text in [*found.warnings, *(guess.why for guess in found.guesses)])


def test_integers_of_json_are_their_decimal_text(read):
    read('{"user": 12345678901234567890, "item": -3, "time": 1700000000}\n', "a.jsonl")
    assert read.events() == [("12345678901234567890", "-3", 1_700_000_000_000_000)]


def test_an_id_of_floats_is_refused(read):
    with pytest.raises(BadData, match=r"'item' of the items holds numbers with decimals, such as 3\.0"):
        read('{"user": "a", "item": 3.0, "time": 1700000000}\n', "a.jsonl")
    path = read.folder / "a.parquet"
    read.connection.execute(f"COPY (SELECT 1.5::DOUBLE AS \"user\", 'x' AS item, 1700000000 AS time) TO '{path}'")
    with pytest.raises(BadData, match="'user' of the users holds numbers with decimals"):
        read.files([path])
    read.connection.execute(f"COPY (SELECT [1] AS \"user\", 'x' AS item, 1700000000 AS time) TO '{path}'")
    with pytest.raises(BadData, match=r"of the type INTEGER\[\], which is no id"):
        read.files([path], user="user")


def test_what_cannot_be_read_is_set_aside_with_line_and_reason(read):
    bad = {
        "u,i,17,00": "4 fields instead of 3",
        "u,i": "2 fields instead of 3",
        '"u"x,i,1700000000': rows.ODD_QUOTE,
        '"u,i,1700000000': rows.ODD_QUOTE,
        ",i,1700000000": rows.NO_USER,
        '"",i,1700000000': rows.NO_USER,
        "u,,1700000000": rows.NO_ITEM,
        "[PAD],i,1700000000": rows.PADDING,
        "u,[PAD],1700000000": rows.PADDING,
        "u\tv,i,1700000000": rows.BROKEN_ID,
        "u,i,": rows.NO_TIME,
        "u,i,yesterday": rows.UNREADABLE_TIME,
        "u,i\0,1700000000": "a NUL byte",
    }
    found = read("user,item,time\nu,i,1700000000\n" + "\n\n".join(bad) + "\nu,i,1700000001\n")
    assert (found.events, found.rejected) == (2, len(bad))
    assert [(line, reason) for line, reason, _ in read.rejects()] == [
        (3 + 2 * at, reason) for at, reason in enumerate(bad.values())
    ]
    assert [text.replace("\ufffd", "\0") for _, _, text in read.rejects()] == list(bad)


def test_bytes_that_are_no_text_are_set_aside(read):
    lines = [b"user,item,time", *(f"u,ä{i},{1700000000 + i}".encode() for i in range(50))]
    lines.insert(7, b"u,\xff\xfe,1700000000")
    found = read(b"\n".join(lines))
    assert (found.events, found.source.encoding) == (50, "utf-8")
    assert read.rejects() == [(8, "bytes that are no text in utf-8", "u,\ufffd\ufffd,1700000000")]


def test_a_carriage_return_within_a_line_splits_no_row(read):
    read("user,item,time\nu,a\rb,1700000000\nu,c,1700000000\n")
    assert [row[1] for row in read.events()] == ["c"]
    assert read.rejects()[0][:2] == (2, "a carriage return within the line")


def test_mixed_line_ends_keep_the_line_numbers(read):
    read("user,item,time\r\nu,a,1700000000\nu,b,1700000000\r\nu,,1700000000\n")
    assert [row[1] for row in read.events()] == ["a", "b"]
    assert read.rejects()[0][0] == 4


def test_a_line_of_megabytes_is_set_aside(read):
    read(f"user,item,time\nu,{'x' * 3_000_000},1700000000\nu,c,1700000000\n")
    assert [row[1] for row in read.events()] == ["c"]
    assert (read.rejects()[0][0], "more than" in read.rejects()[0][1]) == (2, True)


def test_a_quoted_field_may_go_over_several_lines(read):
    read('user,item,title,time\nu,a,"one\n\nu,x,""two"",1\n three",1700000000\nv,b,,1700000001\n', features=("title",))
    assert read.events("line, user, item, feature_0") == [(1, "u", "a", 'one  u,x,"two",1  three'), (5, "v", "b", None)]
    assert read.rejects() == []


def test_a_stray_quote_swallows_no_row_after_it(read):
    lines = ['"u,a,1700000000', *(f"u,b{i},1700000001" for i in range(9)), 'v,"c,1700000002', "w,d,1700000003"]
    found = read("user,item,time\n" + "\n".join(lines))
    assert (found.events, [line for line, _, _ in read.rejects()]) == (10, [2, 12])


def test_json_that_is_none_is_set_aside(read):
    lines = [
        '{"user": "u", "item": "i", "time": 1700000000}',
        '{"user": "u", "item": "i", "time": 17000',
        '["u"]',
        '{"user": null, "item": "i", "time": 1700000000}',
        '{"item": "i", "time": 1700000000}',
        '{"user": {"id": 1}, "item": "i", "time": 1700000000}',
        '{"user": "a\\tb", "item": "i", "time": 1700000000}',
        '{"user": "a\\u0000", "item": "i", "time": 1700000000}',
        "",
    ]
    found = read("\n".join(lines), "a.jsonl")
    assert (found.events, found.rejected) == (1, 7)
    assert [reason for _, reason, _ in read.rejects()] == [
        *[rows.NO_JSON] * 2,
        *[rows.NO_USER] * 2,
        rows.NO_ID,
        *[rows.BROKEN_ID] * 2,
    ]


def test_more_bad_rows_than_may_be_are_an_error_that_shows_them(read):
    text = "user,item,time\n" + "u,i,1700000000\n" * 97 + "u,i\nu,,1700000000\nu,i\n"
    assert read(text, max_bad_share=0.03).rejected == 3
    with pytest.raises(BadData, match="3 of 100 rows") as error:
        read(text, max_bad_share=0.02)
    assert "2 have 2 fields instead of 3 (first " in error.value.message and "line 99" in error.value.message
    assert (error.value.code, error.value.exit_code) == ("events_rejected", 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("user,item,time\n", "no rows"),
        ("user,item,time\n,a,1700000000\n,b,1700000000\n", "'user' is empty in every row"),
        ("user,item,time\nu,a,\nu,b,\n", "'time' is empty in every row"),
        ("user,item,time,price\nu,a,1700000000,\n", "'price' holds no number in every row"),
    ],
)
def test_a_file_of_nothing_is_one_clear_sentence(read, text, message):
    with pytest.raises(BadData, match=message):
        read(text, numbers=("price",) if "price" in text else None)


def test_no_row_is_lost_whatever_the_dirt(read):
    """Files of odd characters: each line that is not blank is an event, or set aside, or part of a joined row."""
    pieces = ['"', '""', ",", "\t", "u", "1700000000", " ", "\n", "\r\n", "x", "é", "\x00", "[PAD]", '"a,b"', '"a\nb"']
    for seed in range(60):
        chance = random.Random(seed)
        good = "".join(f"u{n},i{n},{1700000000 + n}\n" for n in range(chance.randrange(1, 4)))
        text = good + "".join(chance.choices(pieces, k=chance.randrange(1, 60))) + "\n" + good
        content = ("user,item,time\n" + text).encode()
        if chance.random() < 0.3:
            at = chance.randrange(20, len(content))
            content = content[:at] + bytes([chance.randrange(128, 256)]) + content[at:]
        found = read(content, encoding="utf-8")
        covered = [line + 1 for (line,) in read.connection.execute("SELECT line FROM events").fetchall()]
        for line, _, text in read.rejects():
            covered += range(line, line + text.count("\n") + 1)  # more than one only where lines were joined
        assert len(covered) == len(set(covered)), seed
        lines = content.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
        assert {at for at, line in enumerate(lines, 1) if line and at > 1} <= set(covered), seed
        assert found.events >= good.count("\n"), seed


def test_the_resolved_source_reads_the_same_again(read):
    text = "用户;商品;时间;金额\nu1;x;03/09/2018 10:00;3,50\nu2;y;14/09/2018 11:30;1,25\n"
    first = read(text.encode("gb18030"))
    before = read.events("line, user, item, time, number_0")
    from msgspec.structs import asdict

    again = read.files([read.folder / "events.csv"], **asdict(first.source))
    assert read.events("line, user, item, time, number_0") == before
    assert before[0][3:] == (1535968800000000, 3.5)
    assert again.source == first.source
    assert not {guess.role for guess in again.guesses} & {"user", "item", "time", "value", "delimiter", "encoding"}


def test_the_same_files_give_the_same_tables(read):
    text = "user,item,time\n" + "".join(f"u{n % 7},i{n % 11},{1700000000 + n % 5}\n" for n in range(5000))
    read(text)
    one = read.connection.execute("FROM events").fetchall()
    read(text)
    assert read.connection.execute("FROM events").fetchall() == one
    assert [row[0] for row in one] == list(range(1, 5001))


def test_what_a_report_takes_over_quotes_no_item_and_the_terminal_does(read):
    path = read.file("user,item,time,title\nu,007,1700000000,rare\nu,7,1700000001,rare\n")
    told = []
    found = reading.read(read.connection, [path], Source(), told.append)
    assert "item: item (by its name; its values are like '007', '7')" in told
    assert any("different items. Such are '7', '007'." in line for line in told)
    kept = " ".join([guess.why for guess in found.guesses] + list(found.warnings))
    assert "different items" in kept
    assert not any(value in kept for value in ("'7'", "007", "rare"))


def test_numbers_that_cannot_be_read_are_shown_with_their_lines_apart_from_empty_ones(read):
    prices = ["1.5", "n/a", "", "¥19.9", '"1,234"', "free", "2"]
    path = read.file("user,item,time,price\n" + "".join(f"u,i,{1700000000 + n},{p}\n" for n, p in enumerate(prices)))
    told = []
    found = reading.read(read.connection, [path], Source(numbers=("price",)), told.append)
    (note,) = [line for line in told if "'price'" in line]
    assert "is empty in 1 rows and holds no number that can be read in 4 rows: the field stays empty" in note
    assert f"Such are 'n/a' ({path}, line 3), '¥19.9' ({path}, line 5), '1,234' ({path}, line 6)." in note
    assert "'n/a'" not in " ".join(found.warnings)
    assert read.events("number_0") == [(1.5,), (None,), (None,), (None,), (None,), (None,), (2.0,)]
