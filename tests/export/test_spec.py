"""The JSON files of `export/spec` say what SPEC.md says, and what we write is as they say."""

import itertools
import json
import re
from pathlib import Path

import jsonschema
import msgspec
import pytest
from referencing import Registry, Resource

from seqrec_plugin.errors import CODES
from seqrec_plugin.runtime import Recommender

EXPORT = Path(__file__).parents[2] / "export"
SPEC = EXPORT / "spec"
ERRORS = json.loads((SPEC / "errors.json").read_text(encoding="utf-8"))
VECTORS = sorted(path.parent for path in (EXPORT / "vectors").glob("*/manifest.json"))


def validator(name):
    schemas = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in SPEC.glob("*.schema.json")}
    registry = Registry().with_resources((key, Resource.from_contents(value)) for key, value in schemas.items())
    kind = jsonschema.Draft202012Validator
    kind.check_schema(schemas[f"{name}.schema.json"])
    return kind(schemas[f"{name}.schema.json"], registry=registry)


def read(path, name):
    return json.loads((path / f"{name}.json").read_bytes())


def plain(answer):
    return json.loads(msgspec.json.encode(answer))  # lists, not tuples


@pytest.mark.parametrize("name", ["manifest", "items", "golden"])
def test_what_is_written_validates(name, tiny_bundle):
    for path in [*VECTORS, tiny_bundle]:
        validator(name).validate(read(path, name))


def test_questions_and_answers_validate():
    questions, answers = validator("question"), validator("answer")
    for path in VECTORS:
        recommender, golden = Recommender.load(path), read(path, "golden")
        asked = [case["question"] for case in (*golden["questions"], *golden["bad_questions"])]
        for case in golden["questions"]:
            questions.validate(case["question"])
        for answer in recommender.recommend_batch(json.dumps(question) for question in asked):
            answers.validate(plain(answer))


def test_a_question_that_is_wrong_in_itself_does_not_validate():
    golden = read(EXPORT / "vectors" / "lstm4rec", "golden")
    for case in golden["bad_questions"]:
        assert validator("question").is_valid(case["question"]) == (case["status"] == "bad_k"), case["name"]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("manifest", lambda m: m.pop("top_k")),
        ("manifest", lambda m: m.update(extra=1)),
        ("manifest", lambda m: m.update(format_version=1)),
        ("manifest", lambda m: m.update(top_k=0)),
        ("manifest", lambda m: m["files"].update({"../x": m["files"]["items.json"]})),
        ("manifest", lambda m: m["files"].pop("golden.json")),
        ("items", lambda m: m["items"].__setitem__(0, "i0")),
        ("items", lambda m: m["items"].__setitem__(1, None)),
        ("items", lambda m: m.update(more=[])),
        ("golden", lambda m: m.update(tolerance=1)),
        ("golden", lambda m: m["questions"].clear()),
    ],
)
def test_what_is_wrong_does_not(name, change):
    value = read(EXPORT / "vectors" / "lstm4rec", name)
    change(value)
    assert not validator(name).is_valid(value)


def test_the_codes_are_those_of_clause_9_and_of_our_errors():
    text = (EXPORT / "SPEC.md").read_text(encoding="utf-8")
    clause = text.split("## 9 ")[1].split("## 10 ")[0]
    codes = [code for code in re.findall(r"`([a-z_]+)`", clause) if "." not in code]
    assert sorted(codes) == sorted(set(codes)) == sorted(ERRORS)
    assert ERRORS.keys() <= CODES.keys()


def test_clause_9_says_whose_duty_and_of_what_family_a_code_is():
    clause = (EXPORT / "SPEC.md").read_text(encoding="utf-8").split("## 9 ")[1].split("## 10 ")[0]
    ours, verifiers, asked = re.split(r"the verifier's besides|Of questions", clause)
    for code, told in ERRORS.items():
        where = f"`{code}`"
        assert told.keys() == {"family", "duty", "means"} and told["means"].endswith(".")
        assert told["duty"] == ("verifier" if where in verifiers else "client")
        assert (told["family"] == "bundle") == (where in ours or where in verifiers) != (where in asked)


def test_the_clauses_are_numbered_without_a_gap():
    text = (EXPORT / "SPEC.md").read_text(encoding="utf-8")
    found = [tuple(map(int, number)) for number in re.findall(r"^(\d+)\.(\d+) ", text, re.MULTILINE)]
    for (major, minor), (next_major, next_minor) in itertools.pairwise(found):
        assert (next_major, next_minor) in ((major, minor + 1), (major + 1, 1))


def test_every_clause_that_is_referred_to_is_there():
    text = (EXPORT / "SPEC.md").read_text(encoding="utf-8")
    clauses = set(re.findall(r"^(\d+\.\d+) ", text, re.MULTILINE))
    referred = set(re.findall(r"\((\d+\.\d+)\)", text)) | set(re.findall(r"(?:as in|of|is) (\d+\.\d+)", text))
    assert len(referred) > 5 and referred <= clauses
