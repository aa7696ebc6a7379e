"""From what a caller writes to the graph's input arrays."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqrec_plugin.errors import BadData
from seqrec_plugin.history import Question, encode, id_texts, pad, read_json, to_question
from seqrec_plugin.vocabulary import Vocabulary
from tests import summing
from tests.conftest import AWKWARD

VOCABULARY = Vocabulary(AWKWARD)


def ask(value):
    return to_question(read_json(json.dumps(value)))


def test_ids_come_through_byte_for_byte():
    question = ask({"id": "007", "history": AWKWARD, "exclude": ["NA"], "k": 3})
    assert question == Question(id="007", history=tuple(AWKWARD), exclude=("NA",), k=3)


def test_an_integer_is_its_decimal_text_however_long():
    question = ask({"id": 5, "history": [7, -1, 2**70], "exclude": [0]})
    assert question == Question(id="5", history=("7", "-1", str(2**70)), exclude=("0",))
    assert to_question({"history": np.array([3, 4])}).history == ("3", "4")


@pytest.mark.parametrize("bad", [1.0, 1e3, True, False, None, ["a"], {"a": 1}])
@pytest.mark.parametrize("key", ["history", "exclude"])
def test_an_id_is_neither_float_nor_bool_nor_null(key, bad):
    with pytest.raises(BadData, match=rf"{key}\[1\]") as error:
        ask({"history": [], key: ["a", bad]})
    assert error.value.code == "bad_question"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"histroy": ["a"]}, "Did you mean 'history'"),
        ({"history": ["a"], "K": 3}, "Did you mean 'k'"),
        ({}, "history"),
        ({"history": "abc"}, "not a list"),
        ({"history": 5}, "not a list"),
        ({"history": {"a": 1}}, "not a list"),
        ({"history": None}, "null"),
        ({"history": [], "k": None}, "null"),
        ({"history": [], "k": "3"}, "k"),
        ({"history": [], "k": 3.0}, "k"),
        ({"history": [], "k": True}, "k"),
        ({"history": [], "id": 1.5}, "id"),
        ({"history": [], "features": []}, "features"),
        (["a"], "a list"),
        ("a", "a text"),
        (5, "the number 5"),
        (None, "null"),
    ],
)
def test_a_bad_question_says_what_is_wrong(value, told):
    with pytest.raises(BadData, match=told) as error:
        ask(value)
    assert error.value.code == "bad_question"


@pytest.mark.parametrize("line", [b"", b"{", b"nonsense", b"\xff\xfe", b'"\xff"', b"[" * 100_000, b'{"history": [01]}'])
def test_what_is_no_json_is_a_bad_question(line):
    with pytest.raises(BadData, match="not valid JSON") as error:
        read_json(line)
    assert error.value.code == "bad_question"


def test_a_question_made_in_python_is_checked_too():
    assert to_question(Question(history=[50, "172"])).history == ("50", "172")
    with pytest.raises(BadData, match=r"history\[0\]"):
        to_question(Question(history=[1.5]))


def test_inputs_for_other_models_are_let_through():
    question = ask({"history": ["a"], "time": [1.5], "behavior": ["buy"], "features": {"age": 3}})
    assert question.time == (1.5,) and question.behavior == ("buy",) and question.features == {"age": 3}


@pytest.mark.parametrize("told", [{"time": [None]}, {"behavior": [None]}, {"features": {"age": [None]}}], ids=str)
def test_a_null_among_what_is_told_is_refused_by_every_model(told):
    with pytest.raises(BadData, match="null"):
        ask({"history": ["a"], **told})


TIMED = ("time_gap", "next_time_gap", "behavior", "next_behavior", "features")


def timed():
    """The manifest of a model that reads everything."""
    from seqrec_plugin.manifest import tensors

    inputs, _ = tensors("next_item", TIMED, (), features=1, top_k=2, embedding_size=2, candidates=False)
    return summing.manifest(inputs=inputs, behaviors=("view", "buy"), features=("price",), max_history=3)


def told(history, time, **others):
    n = len(history)
    question = {"history": history, "time": time, "behavior": ["view"] * n, "features": {"price": [1.5] * n}}
    return encode(ask({**question, **others}), VOCABULARY, timed())


def test_gaps_are_between_known_events_and_the_first_has_none():
    found = told(["007", "?", "NA", "null"], [100, 103, 110, 110])
    assert found.row.columns["time_gap"].tolist() == [-1, 10, 0]
    assert found.unknown == ["?"] and found.time == 110


def test_the_cut_leaves_its_first_event_without_a_gap():
    found = told(["007", "NA", "null", "1e5"], [0, 1, 3, 7])
    assert found.truncated and found.row.columns["time_gap"].tolist() == [-1, 2, 4]


def test_one_entry_more_is_of_the_event_asked_for():
    found = told(["007", "NA"], [10, 20, 50.5], behavior=["view", "view", "buy"])
    assert found.row.columns["next_time_gap"] == 30.5 and found.row.columns["next_behavior"] == 2
    silent = told(["007", "NA"], [10, 20])
    assert silent.row.columns["next_time_gap"] == -1 and silent.row.columns["next_behavior"] == 0


def test_seconds_of_today_keep_their_gaps():
    assert told(["007", "NA"], [1_700_000_000, 1_700_000_001]).row.columns["time_gap"].tolist() == [-1, 1]


def test_where_a_history_goes_on_its_first_gap_is_to_the_event_before():
    question = ask({"history": ["007"], "time": [25], "behavior": ["buy"], "features": {"price": [2]}})
    assert encode(question, VOCABULARY, timed(), since=20.0).row.columns["time_gap"].tolist() == [5]


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({"time": [1]}, "1 entries for a history of 2"),
        ({"time": [1, 2, 3, 4]}, "4 entries"),
        ({"time": [2, 1]}, r"time\[1\] is 1, before 2"),
        ({"time": [1, "now"]}, r"time\[1\] is a text"),
        ({"time": [1, True]}, r"time\[1\] is true"),
        ({"time": [1, 1e300]}, r"time\[1\] is the number 1e"),
        ({"time": [-3e38, 3e38]}, "seconds are meant"),
        ({"behavior": ["view", "byu"]}, "Did you mean 'buy'"),
        ({"behavior": ["view"]}, "behavior has 1 entries"),
        ({"features": {}}, "features lacks 'price'"),
        ({"features": {"price": [1]}}, "a list of 2 numbers"),
        ({"features": {"price": [1, "2"]}}, r"features.price\[1\] is a text"),
        ({"features": {"price": [1, 1e39]}}, r"features.price\[1\]"),
        ({"features": {"prise": [1, 2]}}, "Did you mean 'price'"),
    ],
    ids=str,
)
def test_what_is_told_amiss_is_refused_with_its_place(others, words):
    with pytest.raises(BadData, match=words) as caught:
        told(["007", "NA"], **{"time": [1, 2], **others})
    assert caught.value.code == "bad_question"


def test_a_plain_text_is_not_a_list_of_its_letters():
    with pytest.raises(BadData, match=r"Write \['abc'\]"):
        id_texts("abc", "history")


@given(st.lists(st.sampled_from([*AWKWARD, "unknown", "Na", "7"])), st.integers(1, 6))
def test_unknown_items_go_first_then_the_oldest(tokens, max_history):
    found = encode(ask({"history": tokens}), VOCABULARY, summing.manifest(max_history=max_history))
    assert [VOCABULARY.token(i) for i in found.known] == [token for token in tokens if token in AWKWARD]
    assert found.unknown == [token for token in tokens if token not in AWKWARD]
    assert found.row.items.tolist() == found.known[-max_history:]
    assert found.truncated == (len(found.known) > max_history)


@given(st.lists(st.lists(st.integers(1, 2**40), max_size=6), max_size=5))
def test_padding_stands_on_the_left_and_changes_no_row(rows):
    padded = pad(rows)
    assert padded.dtype == np.int64 and padded.flags.c_contiguous
    assert padded.shape == (len(rows), max([0, *map(len, rows)]))
    for row, found in zip(rows, padded.tolist(), strict=True):
        assert found == [0] * (len(found) - len(row)) + row
