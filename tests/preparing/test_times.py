"""One unit, or one format, for a column of times."""

from datetime import datetime, timezone

import pytest

from seqrec_plugin.errors import BadData, WrongUsage
from seqrec_plugin.preparing import rows


def _read(read, *values, **source):
    text = "user,item,time\n" + "".join(f'u,i,"{value}"\n' for value in values)
    found = read(text, time="time", **source)
    return found, [time for (time,) in read.events("time")]


def _micros(*moment):
    return int(datetime(*moment, tzinfo=timezone.utc).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("unit", "values", "micros"),
    [
        ("s", ["1511539200", "1511539201"], [1511539200000000, 1511539201000000]),
        ("s", ["1511539200.25", "1511539201.000001"], [1511539200250000, 1511539201000001]),
        ("s", ["1.5115392e9", "1511539201.0"], [1511539200000000, 1511539201000000]),
        ("ms", ["1511539200007", "1511539201000"], [1511539200007000, 1511539201000000]),
        ("us", ["1511539200000007"], [1511539200000007]),
        ("ns", ["1511539200000007999"], [1511539200000007]),
        ("position", ["3", "1", "20"], [3, 1, 20]),
    ],
)
def test_the_unit_of_numbers_is_told_by_their_size(read, unit, values, micros):
    found, times = _read(read, *values)
    assert (found.source.time_unit, times) == (unit, micros)


def test_numbers_far_from_any_epoch_are_cleanings_affair(read):
    found, times = _read(read, "1511539200", "-1511539200", "44", "2122867355")
    assert (found.source.time_unit, found.rejected) == ("s", 0)
    assert times == [1511539200000000, -1511539200000000, 44000000, 2122867355000000]


@pytest.mark.parametrize("other", ["1511539201000", "1511539201000000", "2017-11-24 16:00:00"])
def test_two_units_in_one_column_are_an_error_that_names_a_line_of_each(read, other):
    with pytest.raises(BadData, match="the column time mixes") as error:
        _read(read, "1511539200", "1511539200", other)
    assert "line 2" in error.value.message and "line 4" in error.value.message
    assert "time_unit" in error.value.hint


def test_a_unit_that_was_given_holds(read):
    _, times = _read(read, "1511539200", "1511539201000", time_unit="s")
    assert times == [1511539200000000, 1511539201000000000]
    _, times = _read(read, "1511539200", "2017-11-24", "", time_unit="s")
    assert (times, [reason for _, reason, _ in read.rejects()]) == (
        [1511539200000000],
        [rows.UNREADABLE_TIME, rows.NO_TIME],
    )


def test_what_no_64_bits_hold_is_set_aside(read):
    found, times = _read(read, "1511539200", "1e25", "99999999999999999999999", time_unit="s")
    assert (len(times), found.rejected) == (1, 2)


@pytest.mark.parametrize(
    ("value", "micros"),
    [
        ("2017-11-24", _micros(2017, 11, 24)),
        ("2017-11-24 16:00", _micros(2017, 11, 24, 16)),
        ("2017-11-24T16:00:01", _micros(2017, 11, 24, 16, 0, 1)),
        ("2017-11-24 16:00:01.25", _micros(2017, 11, 24, 16, 0, 1) + 250_000),
        ("2017-11-24 16:00:01,250", _micros(2017, 11, 24, 16, 0, 1) + 250_000),
        ("2017-11-24T16:00:01Z", _micros(2017, 11, 24, 16, 0, 1)),
        ("2017-11-24T16:00:01.123456789Z", _micros(2017, 11, 24, 16, 0, 1) + 123_456),
        ("2017-11-24T16:00:01+02:00", _micros(2017, 11, 24, 14, 0, 1)),
        ("2017-11-24T16:00:01-0530", _micros(2017, 11, 24, 21, 30, 1)),
        ("2017-11-24 16:00:01 +02:00", _micros(2017, 11, 24, 14, 0, 1)),
        ("2017-11-24 16:00:01 UTC", _micros(2017, 11, 24, 16, 0, 1)),
        ("1969-12-31T23:59:59Z", -1_000_000),
        ("2017/11/24 16:00:01", _micros(2017, 11, 24, 16, 0, 1)),
        ("2017/11/4", _micros(2017, 11, 4)),
        ("2017年11月24日 16:00", _micros(2017, 11, 24, 16)),
        ("20171124", _micros(2017, 11, 24)),
        ("20171124160001", _micros(2017, 11, 24, 16, 0, 1)),
    ],
)
def test_times_as_people_write_them(read, value, micros):
    found, times = _read(read, value)
    assert times == [micros]
    again = read.files([read.folder / "events.csv"], time="time", time_unit=found.source.time_unit)
    assert (again.events, read.events("time")) == (1, [(micros,)])


def test_times_without_a_zone_are_of_the_zone_that_is_given(read):
    assert _read(read, "2017-11-24 16:00:00", time_zone="Asia/Shanghai")[1] == [_micros(2017, 11, 24, 8)]
    assert _read(read, "2017-11-24 16:00:00Z", time_zone="Asia/Shanghai")[1] == [_micros(2017, 11, 24, 16)]
    assert _read(read, "24/11/2017 16:00", time_zone="Asia/Shanghai")[1] == [_micros(2017, 11, 24, 8)]
    with pytest.raises(WrongUsage, match="Did you mean 'Asia/Shanghai'"):
        _read(read, "2017-11-24 16:00:00", time_zone="Asia/Shangai")


def test_zones_on_some_rows_only_are_refused_unless_iso_is_given(read):
    values = ["2017-11-24 16:00:00", "2017-11-24 16:00:00+08:00"]
    with pytest.raises(BadData, match="ISO 8601 with a zone"):
        _read(read, *values)
    assert _read(read, *values, time_unit="iso")[1] == [_micros(2017, 11, 24, 16), _micros(2017, 11, 24, 8)]


def test_day_and_month_are_told_by_the_whole_column(read):
    found, times = _read(read, "03/09/2018", "14/09/2018")
    assert (found.source.time_unit, times) == ("%d/%m/%Y", [_micros(2018, 9, 3), _micros(2018, 9, 14)])
    found, times = _read(read, "03.09.2018 10:00", "09.14.2018 10:00:30")
    assert times == [_micros(2018, 3, 9, 10), _micros(2018, 9, 14, 10, 0, 30)]
    assert found.source.time_unit == "%m.%d.%Y"


def test_the_row_that_tells_them_may_be_far_beyond_the_sample(read):
    text = "user,item,time\n" + "u,i,03/09/2018\n" * 80_000 + "u,i,14/09/2018\n"
    found = read(text)
    assert (found.events, found.source.time_unit) == (80_001, "%d/%m/%Y")
    assert any("line 80002" in guess.why for guess in found.guesses)


def test_day_and_month_are_never_taken_row_by_row(read):
    with pytest.raises(BadData, match="whether day or month") as error:
        _read(read, "03/09/2018", "04/09/2018")
    assert "'%d/%m/%Y' or '%m/%d/%Y'" in error.value.hint
    with pytest.raises(BadData, match=r"only the month can come first at .*line 3.*only the day at .*line 2"):
        _read(read, "14/09/2018", "09/14/2018")
    found, _ = _read(read, "14/09/2018", "09/14/2018", time_unit="%d/%m/%Y")
    assert (found.events, found.rejected) == (1, 1)


def test_a_format_that_is_given(read):
    assert _read(read, "24/Nov/2017:16:00:00 +0200", time_unit="%d/%b/%Y:%H:%M:%S %z")[1] == [_micros(2017, 11, 24, 14)]
    assert _read(read, "04 3, 2014", time_unit="%m %d, %Y")[1] == [_micros(2014, 4, 3)]
    for wrong in ("%Q", "seconds"):
        with pytest.raises(WrongUsage, match="neither a unit nor a format"):
            _read(read, "1", time_unit=wrong)


def test_times_of_no_known_form(read):
    with pytest.raises(BadData, match="no form that is known, such as 'noon'"):
        _read(read, "noon", "midnight")


def test_no_time_is_the_order_of_the_lines(read):
    found = read("user,item\nu,a\n\nu,b\n", time=None)
    assert (read.events(), found.source.time_unit) == ([("u", "a", 1), ("u", "b", 3)], "position")
    assert any("order of the lines" in warning for warning in found.warnings)


def test_typed_times_of_parquet(read):
    path = read.folder / "a.parquet"
    query = """SELECT 'u' AS "user", 'i' AS item, {} AS time"""
    for value in (
        "TIMESTAMP '2017-11-24 16:00:00.5'",
        "TIMESTAMP_NS '2017-11-24 16:00:00.500000001'",
        "TIMESTAMPTZ '2017-11-24 17:00:00.5+01'",
    ):
        read.connection.execute(f"COPY ({query.format(value)}) TO '{path}'")
        read.files([path])
        assert read.events("time") == [(_micros(2017, 11, 24, 16) + 500_000,)]
    read.connection.execute(f"COPY ({query.format('1511539200::BIGINT')}) TO '{path}'")
    assert read.files([path]).source.time_unit == "s"
    read.connection.execute(f"COPY ({query.format('1511539200.5::DOUBLE')}) TO '{path}'")
    read.files([path])
    assert read.events("time") == [(1511539200500000,)]
    local = query.format("TIMESTAMP '2017-11-24 16:00:00'")
    read.connection.execute(f"COPY ({local}) TO '{path}'")
    read.files([path], time_zone="Asia/Shanghai")
    assert read.events("time") == [(_micros(2017, 11, 24, 8),)]
