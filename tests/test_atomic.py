"""RecBole's atomic files: nothing is guessed, nothing is lost, and every error has its line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqrec_plugin import atomic
from seqrec_plugin.errors import BadData, SeqrecError, WrongUsage
from seqrec_plugin.history import Event
from tests.conftest import AWKWARD

HEADER = "user_id:token\titem_id:token\ttimestamp:float\n"


@pytest.fixture
def file(tmp_path):
    """Write a file's bytes or text, returns its path."""

    def write(content, name="x.inter"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def fails(code, call, *told):
    with pytest.raises(SeqrecError) as error:
        call()
    assert error.value.code == code
    for text in told:
        assert text in str(error.value)


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("last", ["", "\n", "\n\n"])
def test_the_same_table_from_each_variant(file, line_end, mark, last):
    text = mark + HEADER + "u\tNA\t1\nü\t苹 果\t2" + last
    table = atomic.read(file(text.replace("\n", line_end)))
    assert table.names == ("user_id", "item_id", "timestamp")
    assert table.types == {"user_id": "token", "item_id": "token", "timestamp": "float"}
    assert table.columns == {"user_id": ["u", "ü"], "item_id": ["NA", "苹 果"], "timestamp": ["1", "2"]}
    assert len(table) == 2


def test_other_encodings_and_separators(file):
    text = "user_id:token,item_id:token\n用户,苹果\n"
    table = atomic.read(file(text.encode("gb18030")), separator=",", encoding="gb18030")
    assert table.columns == {"user_id": ["用户"], "item_id": ["苹果"]}


TOKEN = st.text(st.characters(exclude_characters="\t\n\r\0\ufeff", exclude_categories=["Cs"]), min_size=1)


@given(st.lists(st.one_of(st.sampled_from([*AWKWARD, '"', '"quoted"', "'", "#", "\x85", "\u2028"]), TOKEN), min_size=1))
def test_ids_are_kept_byte_for_byte(tmp_path_factory, tokens):
    if atomic.PADDING_TOKEN in tokens:
        return
    path = tmp_path_factory.mktemp("ids") / "x.inter"
    path.write_bytes((HEADER + "".join(f"u\t{token}\t1\n" for token in tokens)).encode())
    assert atomic.read(path).columns["item_id"] == tokens


def test_an_empty_value_that_is_no_id_is_kept(file):
    table = atomic.read(file("item_id:token\ttitle:token_seq\n1\t\n2\tx\n"))
    assert table.columns["title"] == ["", "x"]


@pytest.mark.parametrize(
    ("content", "code", "told"),
    [
        ("", "dataset_empty", "empty"),
        ("\n\n", "dataset_empty", "empty"),
        (HEADER, "dataset_empty", "no rows"),
        ("user_id\titem_id:token\n1\t2\n", "dataset_invalid", "line 1: the field 'user_id'"),
        (":token\n1\n", "dataset_invalid", "line 1"),
        ("user_id:tokn\n1\n", "dataset_invalid", "token_seq"),
        ("user_id:token\tuser_id:token\n1\t1\n", "dataset_invalid", "twice"),
        (HEADER.replace("\t", ",") + "1,2,3\n", "dataset_invalid", "separated by '\\t'"),
        (HEADER + "1\t2\t3\n1\t2\n1\t2\t3\t4\n", "dataset_invalid", "line 3: 2 fields"),
        (HEADER + "1\t2\t3\n\n1\t2\t3\n", "dataset_invalid", "line 3: 1 fields"),
        (HEADER + "1\t2\t3\n1\ta\0b\t3\n", "dataset_invalid", "line 3: a NUL"),
        (HEADER + "1\t2\t3\n\t2\t3\n", "dataset_invalid", "line 3: user_id"),
        (HEADER + "1\t\t3\n", "dataset_invalid", "line 2: item_id"),
        (HEADER + "1\t[PAD]\t3\n", "dataset_invalid", "line 2: item_id '[PAD]'"),
        (HEADER.encode() + b"1\t2\t3\n1\t\xff\t3\n", "dataset_invalid", "line 3: not text in utf-8"),
    ],
)
def test_an_error_for_each_way_a_file_can_be_wrong(file, content, code, told):
    path = file(content)
    fails(code, lambda: atomic.read(path), told, str(path))


def test_files_that_cannot_be_read(tmp_path, file):
    fails("dataset_missing", lambda: atomic.read(tmp_path / "none.inter"), "none.inter")
    fails("dataset_missing", lambda: atomic.read(tmp_path))
    fails("bad_value", lambda: atomic.read(file(HEADER + "1\t2\t3\n"), encoding="utf8000"), "utf8000")
    with pytest.raises(WrongUsage):
        atomic.read(file(HEADER + "1\t2\t3\n"), separator="")


def test_a_missing_field_names_the_nearest(file):
    table = atomic.read(file(HEADER + "1\t2\t3\n"))
    fails("dataset_invalid", lambda: table.exact_times("time_stamp"), "Did you mean 'timestamp'?")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("", "empty"),
        ("nan", "not a number"),
        ("inf", "not a number"),
        ("03/09/2018", "not a number"),
        ("1_000", "not a number"),
        (" 1", "not a number"),
        ("１", "not a number"),
        ("1-2", "not a number"),
        (str(2**63), "beyond 64-bit"),
        ("9" * 5000, "beyond 64-bit"),
        ("1e999999999", "beyond 64-bit"),
        ("1e99999999999999999999", "beyond 64-bit"),
        ("1e-999999", "decimal places"),
        ("-1e19", "beyond 64-bit"),
    ],
)
def test_what_is_no_time_is_refused_with_its_line(file, value, told):
    path = file(HEADER + f"1\t2\t3\n1\t2\t{value}\n")
    fails("dataset_invalid", lambda: atomic.read(path).exact_times("timestamp"), "line 3", str(path), told)


def test_histories_are_in_exact_order_ties_in_file_order(file):
    path = file(
        HEADER + "u\tlate\t1700000003\nv\tother\t1\nu\ttie1\t1700000002\nu\ttie2\t1700000002.0\nu\tearly\t1700000001\n"
    )
    histories = atomic.AtomicHistories(path)
    assert [event.item for event in histories.history("u")] == ["early", "tie1", "tie2", "late"]
    assert histories.history("v") == [Event("other", 1.0)]
    fails("unknown_user", lambda: histories.history("w"), "'w'")


def test_histories_by_other_field_names(file):
    path = file("who:token\twhat:token\twhen:float\nu\tb\t2\nu\ta\t1\n")
    histories = atomic.AtomicHistories(path, user_field="who", item_field="what", time_field="when")
    assert [event.item for event in histories.history("u")] == ["a", "b"]
    fails("dataset_invalid", lambda: atomic.AtomicHistories(path), "user_id")


def test_where_a_data_sets_file_is_looked_for(tmp_path):
    inside = tmp_path / "shop" / "shop.inter"
    inside.parent.mkdir()
    inside.touch()
    assert atomic.dataset_file(tmp_path, "shop") == inside
    assert atomic.dataset_file(tmp_path / "shop", "shop") == inside
    assert atomic.dataset_file(tmp_path / "shop") == inside
    fails("dataset_missing", lambda: atomic.dataset_file(tmp_path, "shoe"), "shoe.inter")
    fails("dataset_missing", lambda: atomic.dataset_file(tmp_path), "no file")
    (tmp_path / "shop" / "more.inter").touch()
    fails("dataset_missing", lambda: atomic.dataset_file(tmp_path / "shop"), "2 files")


def test_titles(file, tmp_path):
    path = file("item_id:token\tname:token\tmovie_title:token_seq\n1\tx\tOne\n007\ty\t\nNA\tz\tThe NA\n", "x.item")
    assert atomic.titles(path) == {"1": "One", "NA": "The NA"}
    assert atomic.titles(path, title_field="name") == {"1": "x", "007": "y", "NA": "z"}
    fails("dataset_invalid", lambda: atomic.titles(path, title_field="titel"), "titel")
    assert atomic.titles(tmp_path / "none.item") == {}
    assert atomic.titles(file("item_id:token\tprice:float\n1\t2\n", "y.item")) == {}


def test_bad_data_is_bad_data(tmp_path):
    with pytest.raises(BadData):
        atomic.read(tmp_path / "none.inter")


@pytest.mark.parametrize("other", ["1700000000000", "1700000000000000"])
def test_times_in_several_units_are_refused_with_both_lines(tmp_path, other):
    file = tmp_path / "a.inter"
    file.write_text(f"user_id:token\titem_id:token\ttimestamp:float\nu\ti\t1700000000\nu\tj\t{other}\n")
    with pytest.raises(BadData, match=r"line 2 has 1700000000 and line 3 has 17.* mixed"):
        atomic.read(file).exact_times("timestamp")


def test_positions_and_any_one_unit_are_times(tmp_path):
    for times in (["3", "0", "-7"], ["1700000000", "0"], ["1700000000000", "1700000000001"]):
        file = tmp_path / "a.inter"
        file.write_text("user_id:token\ttimestamp:float\n" + "".join(f"u\t{time}\n" for time in times))
        assert atomic.read(file).exact_times("timestamp").tolist() == [int(time) for time in times]
