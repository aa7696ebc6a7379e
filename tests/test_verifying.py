"""`verify` passes what is right and stops at the first thing that is not."""

import json
import shutil

import numpy as np
import pytest

from seqrec_plugin import bundle, verifying
from seqrec_plugin.errors import SeqrecError
from tests import summing


@pytest.fixture
def tampered(tiny_bundle, tmp_path):
    """The path of a bundle whose golden.json was changed, hashes included."""

    def make(change):
        found = bundle.read(tiny_bundle)
        golden = json.loads(found.contents["golden.json"])
        changed = change(golden)
        contents = {**found.contents, "golden.json": json.dumps(golden if changed is None else changed).encode()}
        path = tmp_path / "tampered"
        with bundle.writing(path) as folder:
            bundle.fill(folder, found.manifest, contents)
        return path

    return make


def case(golden, name):
    (found,) = [
        case for part in ("questions", "sessions", "bad_questions") for case in golden[part] if case["name"] == name
    ]
    return found


def failure(path):
    """The names of the checks that held, and the error that came then."""
    held = []
    with pytest.raises(SeqrecError) as error:
        for check in verifying.verify(path):
            held.append(check.name)
    return held, error.value


def test_a_good_bundle_passes_every_check_in_order(tiny_bundle):
    assert [check.name for check in verifying.verify(tiny_bundle)] == [
        "manifest",
        "files",
        "graph loads",
        "alone equals batched",
        "carried equals whole",
        "golden questions",
        "golden sessions",
        "golden bad questions",
    ]


def test_a_changed_file_is_the_bundles_error(tiny_bundle, tmp_path):
    path = shutil.copytree(tiny_bundle, tmp_path / "copy")
    (path / "README.md").write_text("other")
    held, error = failure(path)
    assert not held and error.code == "file_changed" and error.exit_code == 3


def _score(golden):
    case(golden, "one item")["answer"]["items"][0]["score"] += 0.01


def _order(golden):
    items = case(golden, "some items")["answer"]["items"]
    items[0], items[1] = items[1], items[0]


def _fewer(golden):
    case(golden, "some items")["answer"]["items"].pop()


def _status(golden):
    case(golden, "empty")["answer"]["status"] = "ok"


def _unknown(golden):
    case(golden, "only unknown items")["answer"]["unknown"].pop()


def _truncated(golden):
    case(golden, "longer than the limit")["answer"]["truncated"] = False


def _embedding(golden):
    case(golden, "longest")["embedding"][0] += 0.01


def _state(golden):
    case(golden, "longest")["state"][0][0] += 0.01


def _states(golden):
    case(golden, "longest")["state"].pop()


def _step(golden):
    case(golden, "one at a time")["steps"][2]["state"][0][0] += 0.01


def _step_item(golden):
    case(golden, "one at a time")["steps"][1]["answer"]["items"][0]["item"] = "007?"


def _bad_question(golden):
    case(golden, "k of zero")["status"] = "bad_question"


def _good_question(golden):
    case(golden, "k of zero")["question"]["k"] = 1


@pytest.mark.parametrize(
    ("change", "name", "told"),
    [
        (_score, "one item", "score"),
        (_order, "some items", "the items are"),
        (_fewer, "some items", "the items are"),
        (_status, "empty", "status"),
        (_unknown, "only unknown items", "unknown"),
        (_truncated, "longer than the limit", "truncated"),
        (_embedding, "longest", "user embedding"),
        (_state, "longest", "state 0"),
        (_states, "longest", "states"),
        (_step, "one at a time, step 3", "state 0"),
        (_step_item, "one at a time, step 2", "the items are"),
        (_bad_question, "k of zero", "bad_k"),
        (_good_question, "k of zero", "ok"),
    ],
)
def test_a_wrong_answer_is_a_mismatch_that_names_the_case_and_what_differs(tampered, change, name, told):
    held, error = failure(tampered(change))
    assert "carried equals whole" in held
    assert error.code == "golden_mismatch" and error.exit_code == 1
    assert repr(name) in error.message and told in error.message


def _no_questions(golden):
    golden["questions"] = []


def _wide(golden):
    golden["tolerance"] = 1.0


def _no_width(golden):
    golden["tolerance"] = 0


def _more(golden):
    golden["more"] = 1


@pytest.mark.parametrize("change", [_no_questions, _wide, _no_width, _more, lambda golden: {}, lambda golden: [1]])
def test_a_golden_file_that_proves_nothing_is_invalid(tampered, change):
    held, error = failure(tampered(change))
    assert error.code == "golden_invalid" and error.exit_code == 3
    assert "golden questions" not in held


def test_a_bundle_without_golden_vectors_is_not_verified(tmp_path):
    (path := summing.write(tmp_path / "b")).joinpath("golden.json").unlink()
    held, error = failure(path)
    assert not held and error.code == "file_missing"


def test_a_golden_file_may_be_anything_without_harm(tmp_path):
    for content in (b"", b"\xff", b"[" * 100_000):
        path = summing.write(tmp_path / str(len(content)), golden=content)
        assert failure(path)[1].code == "golden_invalid"


def test_padding_that_changes_an_answer_is_found(tmp_path):
    rows = summing.table()
    rows[0] = 0.01
    held, error = failure(summing.write(tmp_path / "b", summing.graph(rows)))
    assert held[-1] == "graph loads" and error.code == "check_failed"
    assert "alone and in a batch" in error.message


def test_a_state_that_does_not_carry_is_found(tmp_path):
    held, error = failure(summing.write(tmp_path / "b", summing.graph(growth=1.001)))
    assert held[-1] == "graph loads" and error.code == "check_failed"
    assert "carried" in error.message


def test_a_model_that_gives_nan_is_found(tmp_path):
    rows = np.full_like(summing.table(), np.nan)
    assert failure(summing.write(tmp_path / "b", summing.graph(rows)))[1].code == "not_finite"


@pytest.mark.parametrize(
    ("scores", "found", "right"),
    [
        ([3.0, 2.0, 1.0], "abc", True),
        ([3.0, 2.0, 1.0], "bac", False),
        ([3.0, 3.0, 1.0], "bac", True),
        ([3.0, 2.99995, 1.0], "bac", True),
        ([3.0, 2.9998, 1.0], "bac", False),
        ([3.0, 3.0, 3.0], "cab", False),  # not neighbours
        ([3.0, 3.0, 3.0], "acb", True),
        ([3.0, 3.0, 3.0], "ab", False),
        ([3.0, 3.0, 3.0], "abd", False),
    ],
)
def test_two_neighbours_may_change_places_where_their_scores_are_close(scores, found, right):
    expected = [verifying.Item(item, score) for item, score in zip("abc", scores, strict=True)]
    order = verifying._allowed_order(list(found), expected, 1e-4)
    assert (order == list(found)) == right
