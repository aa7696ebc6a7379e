"""Each broken bundle is refused with exactly its code, by our reader and our verifier."""

import json
from pathlib import Path

import pytest

from seqrec_plugin import verifying
from seqrec_plugin.errors import SeqrecError
from seqrec_plugin.runtime import Recommender
from tests.export.test_vectors import loaded

EXPORT = Path(__file__).parents[2] / "export"
ERRORS = json.loads((EXPORT / "spec" / "errors.json").read_text(encoding="utf-8"))
make = loaded(EXPORT / "hostile" / "make.py")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    make.make(folder)
    return folder


@pytest.mark.parametrize("name", make.CASES)
def test_it_is_refused_with_its_code(name, hostile):
    case = make.CASES[name]
    if case.duty == "client":
        with pytest.raises(SeqrecError) as error:
            Recommender.load(hostile / name).recommend(**(case.question or {"history": []}))
        assert error.value.code == case.code
    else:
        assert Recommender.load(hostile / name).recommend([]).status == "newcomer"
    with pytest.raises(SeqrecError) as error:
        list(verifying.verify(hostile / name))
    assert error.value.code == case.code


def test_every_code_about_bundles_has_one():
    made = {case.code: case.duty for case in make.CASES.values()}
    assert made.keys() - {"not_finite"} == {code for code, told in ERRORS.items() if told["family"] == "bundle"}
    assert all(ERRORS[code]["duty"] == duty for code, duty in made.items())


def test_what_the_cases_are_is_written_beside_them(hostile):
    told = json.loads((hostile / "cases.json").read_text())
    assert told.keys() == make.CASES.keys()
    assert told["weights-nan"] == {
        "code": "not_finite",
        "duty": "client",
        "why": make.CASES["weights-nan"].why,
        "question": make.NAN_QUESTION,
    }
