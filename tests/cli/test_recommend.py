"""`seqrec recommend`: a table for people, JSON for programs, and an exit code for both."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from seqrec_plugin import cli
from seqrec_plugin.cli.asking import printable
from seqrec_plugin.runtime import Recommender
from tests import summing


@pytest.fixture
def call(tiny_bundle):
    """Run `seqrec recommend` on the bundle."""

    def run(*args, stdin=None, bundle=tiny_bundle):
        return CliRunner().invoke(cli.main, ["recommend", str(bundle), *args], input=stdin)

    return run


def ids(answer):
    return [item["item"] for item in answer["items"]]


def test_one_history_is_a_table(call, tiny_bundle):
    result = call("--history", "007,NA", "-k", "3")
    assert result.exit_code == 0 and result.stderr == ""
    head, *rows = result.stdout.splitlines()
    assert head.split() == ["rank", "item", "score"]
    expected = Recommender.load(tiny_bundle).recommend(["007", "NA"], k=3)
    assert [row.split()[0] for row in rows] == ["1", "2", "3"]
    assert all(item.item in row and f"{item.score:.4f}" in row for item, row in zip(expected.items, rows, strict=True))


def test_titles_are_shown_where_asked_for(call):
    result = call("--history", "007,NA", "--titles")
    assert result.stdout.split("\n")[0].endswith("title") and "The i" in result.stdout
    assert "The" not in call("--history", "007,NA").stdout
    assert '"title"' in call("--history", "007,NA", "--titles", "--json").stdout
    assert '"title"' not in call("--history", "007,NA", "--json").stdout


def test_a_bundle_without_titles_says_so(call, tmp_path):
    result = call("--history", "a", "--titles", bundle=summing.write(tmp_path / "b"))
    assert result.exit_code == 0 and "no titles" in result.stderr


def test_json_is_the_answer(call):
    result = call("--history", "苹果", "--json", "-k", "2")
    answer = json.loads(result.stdout)
    assert answer["status"] == "ok" and len(answer["items"]) == 2 and "id" not in answer


def test_what_a_reader_should_know_is_on_stderr(call):
    result = call("--history", ",".join(["?", *(f"i{n}" for n in range(12))]))
    assert result.exit_code == 0
    assert "'?'" in result.stderr and "newest 8" in result.stderr
    for history in ("", "?"):
        result = call("--history", history)
        assert result.exit_code == 0 and "newcomer" in result.stderr and len(result.stdout.splitlines()) == 11


def test_exclude_and_include_seen(call):
    plain = ids(json.loads(call("--history", "007", "--json").stdout))
    assert plain[0] not in ids(json.loads(call("--history", "007", "--exclude", plain[0], "--json").stdout))
    others = ["--exclude", ",".join(f"i{n}" for n in range(30)), "-k", "20", "--json"]  # ten items remain
    seen = ids(json.loads(call("--history", "007", "--include-seen", *others).stdout))
    hidden = ids(json.loads(call("--history", "007", "--exclude-seen", *others).stdout))
    assert "007" in seen and hidden == [item for item in seen if item != "007"]


def test_a_line_of_json_is_answered_by_a_line_of_json(call):
    questions = [{"id": str(n), "history": ["007"] * (n % 3), "k": 1 + n % 3} for n in range(200)]
    text = "\ufeff" + "\n".join(json.dumps(q) for q in questions)
    result = call(stdin=text)
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert [answer["id"] for answer in answers] == [q["id"] for q in questions]
    assert [len(answer["items"]) for answer in answers] == [q["k"] for q in questions]


def test_a_bad_line_is_an_answer_and_the_exit_code_says_so(call, tmp_path):
    file = tmp_path / "questions.jsonl"
    file.write_text('{"history": ["NA"]}\r\n\r\nnonsense\r\n{"history": ["NA"], "k": 0}\r\n{"history": [1]}\r\n')
    result = call("--history-file", str(file), "-k", "2")
    statuses = [json.loads(line)["status"] for line in result.stdout.splitlines()]
    assert statuses == ["ok", "bad_question", "bad_k", "newcomer"]
    assert result.exit_code == 3 and "2 of 4" in result.stderr


def test_a_slow_pipe_is_answered_line_by_line(tiny_bundle):
    process = subprocess.Popen(
        [sys.executable, "-m", "seqrec_plugin.cli", "recommend", str(tiny_bundle)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    for token in ("007", "NA"):
        process.stdin.write(json.dumps({"id": token, "history": [token]}) + "\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == token  # it comes before the next question is asked
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    process.stdout.close()


def test_a_user_of_a_data_set(call, shop):
    result = call("--user", "u1", "--dataset-dir", str(shop), "--dataset", "shop", "--json")
    assert result.exit_code == 0 and json.loads(result.stdout)["status"] == "ok"
    again = call("--user", "u1", "--dataset-dir", str(shop / "shop"), "--json")
    assert again.stdout == result.stdout
    result = call("--user", "nobody", "--dataset-dir", str(shop / "shop"))
    assert result.exit_code == 3 and "'nobody'" in result.stderr and result.stdout == ""
    assert call("--user", "u1", "--dataset-dir", str(shop)).exit_code == 3


@pytest.mark.parametrize("k", ["0", "21", "1000000", "-1"])
def test_k_is_checked_before_anything_else(call, tmp_path, k):
    missing = tmp_path / "none"
    result = call("--user", "u1", "--dataset-dir", str(missing), "-k", k)
    assert result.exit_code == 2 and "1 to 20" in result.stderr and "--top-k" in result.stderr
    assert call("-k", k, stdin="nonsense\n").stdout == ""


@pytest.mark.parametrize(
    "args",
    [
        ["--history", "1", "--user", "1", "--dataset-dir", "."],
        ["--user", "1"],
        ["--history", "1", "--dataset-dir", "."],
        ["--history", "1", "--dataset", "x"],
        ["--exclude", "1"],
        ["--history", "1", "--threads", "0"],
    ],
)
def test_options_that_do_not_go_together(call, args):
    result = call(*args, stdin="")
    assert result.exit_code == 2 and result.stdout == "" and result.stderr


def test_a_missing_bundle_is_bad_data(call, tmp_path):
    result = call("--history", "1", bundle=tmp_path / "none")
    assert result.exit_code == 3 and "none" in result.stderr and "Traceback" not in result.stderr


def test_nothing_in_a_bundle_moves_the_cursor():
    assert printable("苹果 \x1b[2J\r\n") == "苹果 \\x1b[2J\\r\\n"
