"""Errors are part of the interface."""

import pickle
import re
from pathlib import Path

import pytest

from seqrec_plugin import errors
from seqrec_plugin.errors import CODES, BadData, WrongUsage, nearest

ROOT = Path(__file__).parents[1]


def test_every_code_is_raised_somewhere_and_no_other():
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "seqrec_plugin").rglob("*.py"))
    raised = set(re.findall(r"\b(?:BadData|WrongUsage|Failed)\(\s*\"(\w+)\"", source))
    passed_on = {code for code in CODES if len(re.findall(f'"{code}"', source)) > 1}  # given by way of a helper
    assert raised <= set(CODES)
    assert set(CODES) == raised | passed_on


def test_every_code_of_the_specification_is_one_here():
    text = (ROOT / "export" / "SPEC.md").read_text(encoding="utf-8")
    clause = text.partition("## 9")[2].partition("## 10")[0]
    named = set(re.findall(r"`(\w+)`", clause))
    assert len(named) > 15
    assert named <= set(CODES)


def test_a_code_that_is_not_listed_cannot_be_raised():
    with pytest.raises(ValueError, match="no_such_code"):
        BadData("no_such_code", "A sentence.")


def test_an_error_comes_whole_through_a_process_boundary():
    error = pickle.loads(pickle.dumps(WrongUsage("bad_k", "k is 0.", "Use 1.")))
    assert (type(error), error.code, str(error), error.exit_code) == (WrongUsage, "bad_k", "k is 0. Use 1.", 2)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("hiden_size", "Did you mean 'hidden_size'?"),
        ("EPOCHS", "Did you mean 'epochs'?"),
        ("zzz", "epochs, hidden_size"),
    ],
)
def test_the_nearest_name_or_all_of_them(name, hint):
    assert hint in nearest(name, ["hidden_size", "epochs"])


def test_training_on_a_later_python_is_not_told_to_install_what_installs_nothing(monkeypatch):
    monkeypatch.setattr(errors.sys, "version_info", (3, 12, 0, "final", 0))
    assert "Python 3.11" in str(errors.missing_extra("torch", "train"))
