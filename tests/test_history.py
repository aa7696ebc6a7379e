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
