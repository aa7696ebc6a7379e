"""Every model, from the name to the answer: trained, evaluated again, exported, verified, asked."""

import dataclasses
import json
import re
import shlex

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from seqrec_plugin import cli, evaluating, registry
from seqrec_plugin.atomic import AtomicHistories
from seqrec_plugin.checkpoint import RunFolder
from seqrec_plugin.errors import BadData, WrongUsage
from seqrec_plugin.evaluating import load_model
from seqrec_plugin.exporting import export
from seqrec_plugin.history import asked_of, to_question
from seqrec_plugin.recbole_bridge.settings import resolve
from seqrec_plugin.runtime import Recommender
from seqrec_plugin.training import train
from tests.conftest import Silent

#: What each model can be told besides; by default and with these, each is trained once.
OTHERS = {
    "BehaviorLSTM4Rec": [{"target_behaviors": ["buy"]}],
    "LSTMRanker": [
        {"candidate": False, "target_behaviors": ["buy"], "read_behaviors": True, "NUMERIC_FIELDS": ["price"]},
        {"target_behaviors": ["cart", "buy"], "activation": "relu"},
        {
            "NUMERIC_FIELDS": ["price"],
            "NUMERIC_TRANSFORMS": {"price": {"clip": "iqr", "log": True, "smooth": {"median": 3}}},
        },
    ],
    "TimeLSTM4Rec": [{"cell": "time_lstm", "time_to_ask": True}, {"cell": "t_lstm"}],
}
CASES = [(name, options) for name in registry.names() for options in [{}, *OTHERS.get(name, [])]]
SMALL = {"embedding_size": 8, "hidden_size": 8, "num_layers": 1, "feed_forward_size": 16}


def _recipe(folder, data_path, name, options):
    known = {f.name for f in dataclasses.fields(registry.load(name).Config)}
    values = {
        "model": name,
        "dataset": "mixed",
        "data_path": str(data_path),
        "epochs": 1,
        "learning_rate": 0.01,
        "train_batch_size": 256,
        "MAX_ITEM_LIST_LENGTH": 6,
        **{key: value for key, value in SMALL.items() if key in known},
        **options,
    }
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(values))  # JSON is YAML
    return path


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]} {list(case[1].values())}")
def trained(request, mixed, tmp_path_factory):
    name, options = request.param
    folder = tmp_path_factory.mktemp("family")
    run = train(resolve(_recipe(folder, mixed, name, options)), folder / "run", Silent())
    export(folder / "run", folder / "bundle", report=lambda check: None)
    return run, Recommender.load(folder / "bundle"), options


def test_a_run_evaluated_again_gives_what_training_wrote(trained):
    run, _, _ = trained
    again, written = evaluating.evaluate_run(run), run.metrics()
    for part in ("valid", "test"):
        for kind, values in again[part].items():
            assert values == pytest.approx(written[part][kind], abs=1e-6)


def test_recboles_own_numbers_agree_with_ours(trained):
    run, recommender, _ = trained
    found = run.metrics()["test"]
    if recommender.manifest.task == "probability":
        assert found["recbole"]["auc"] == pytest.approx(found["probability"]["AUC"], abs=1e-4)
        assert found["recbole"]["logloss"] == pytest.approx(found["probability"]["LogLoss"], abs=1e-4)
    else:
        assert found["recbole"]["ndcg@10"] == pytest.approx(found["unmasked"]["NDCG@10"], abs=1e-4)


def test_a_served_answer_is_what_the_test_split_was_judged_by(trained, mixed):
    """From the events of the file to the answer, through ids, seconds and names: nothing differs from evaluation."""
    run, recommender, _ = trained
    manifest, split, model = recommender.manifest, run.split(), load_model(run)
    histories = AtomicHistories(mixed / "mixed", behavior_field="behavior", features=manifest.features)
    vocabulary, users = recommender.vocabulary, [f"u{n}" for n in range(50)]
    row_of = {int(split.offsets[np.searchsorted(split.offsets, row, side="right") - 1]): row for row in split.test}
    checked = 0
    for user in users:
        events = histories.history(user)
        first = [
            start
            for start in row_of
            if [vocabulary.token(int(i)) for i in split.items[start : row_of[start] + 1]] == [e.item for e in events]
        ]
        if not first:
            continue
        row = row_of[first[0]]
        item_seq, read = split.inputs(np.array([row]), manifest.max_history)
        columns = split.columns.read(model.columns, read, np.array([[row]]), split.wanted)
        with torch.no_grad():
            given = {name: torch.from_numpy(values) for name, values in columns.items()}
            vector = model(torch.from_numpy(item_seq), None, given)[0][:, -1]
        question = asked_of(events[:-1], manifest)
        if "next_time_gap" in manifest.columns:
            question["time"].append(events[-1].time)
        if split.wanted:
            question["behavior"].append("buy")
        output = recommender.run([recommender.encode(to_question(question)).row], [[1]])
        np.testing.assert_allclose(output.user_embedding, vector.numpy(), rtol=1e-5, atol=1e-5)
        checked += 1
    assert checked >= 5


def test_events_one_by_one_give_the_answer_of_the_whole(trained, mixed):
    _, recommender, _ = trained
    manifest = recommender.manifest
    if not manifest.state:
        pytest.skip("A model of another package that carries no state has no session.")
    histories = AtomicHistories(mixed / "mixed", behavior_field="behavior", features=manifest.features)
    events = histories.history("u7")[-manifest.max_history :]
    asked = {"candidates": [e.item for e in histories.history("u3")[:3]]} if manifest.takes_candidates else {}
    answer_of = recommender.recommend if manifest.task == "next_item" else recommender.score
    session = recommender.session()
    for place, event in enumerate(events):
        one, whole = asked_of([event], manifest), asked_of(events[: place + 1], manifest)
        answer = session.push(one.pop("history"), **one, **asked)
        expected = answer_of(**whole, **asked)
        assert [item.item for item in answer.items] == [item.item for item in expected.items]
        found = [*(item.score for item in answer.items), answer.probability or 0]
        assert found == pytest.approx([*(item.score for item in expected.items), expected.probability or 0], abs=1e-5)


def test_a_run_says_whether_it_was_told_the_targets_time(trained):
    run, _, options = trained
    assert run.info.told_target_time == options.get("time_to_ask", False)


def test_what_a_model_reads_must_be_told(trained):
    _, recommender, _ = trained
    item = recommender.vocabulary.token(1)
    needs = {"time_gap": "time", "behavior": "behavior", "features": "features"}
    asked = {"candidates": [item]} if recommender.manifest.takes_candidates else {}
    (answer,) = recommender.recommend_batch([{"history": [item], **asked}])
    needed = [key for name, key in needs.items() if name in recommender.manifest.columns]
    if needed:
        assert answer.status == "bad_question" and any(key in answer.message for key in needed)
    else:
        assert answer.status == "ok"
    (newcomer,) = recommender.recommend_batch([{"history": [], **asked}])
    assert newcomer.status == "newcomer"


def _train(tmp_path, mixed, name, **options):
    return train(resolve(_recipe(tmp_path, mixed, name, options)), tmp_path / "run", Silent())


def test_a_missing_field_is_named_with_those_there_are(tmp_path, mixed):
    with pytest.raises(BadData, match=r"no field 'what', which BehaviorLSTM4Rec reads\. Set BEHAVIOR_FIELD to"):
        _train(tmp_path, mixed, "BehaviorLSTM4Rec", BEHAVIOR_FIELD="what")


def test_an_unknown_target_behaviour_names_the_nearest(tmp_path, mixed):
    with pytest.raises(WrongUsage, match=r"'byu'.*Did you mean 'buy'"):
        _train(tmp_path, mixed, "BehaviorLSTM4Rec", target_behaviors=["byu"])


def test_a_probability_of_a_behaviour_needs_one(tmp_path, mixed):
    with pytest.raises(WrongUsage, match="target_behaviors names none"):
        _train(tmp_path, mixed, "LSTMRanker", candidate=False)


def test_numbers_for_a_model_that_reads_none_are_refused(tmp_path, mixed):
    with pytest.raises(WrongUsage, match="LSTM4Rec reads no numbers"):
        _train(tmp_path, mixed, "LSTM4Rec", NUMERIC_FIELDS=["price"])


def test_only_events_of_a_target_behaviour_are_held_out_for_every_model(tmp_path, mixed):
    run = _train(tmp_path, mixed, "BehaviorLSTM4Rec", target_behaviors=["buy"])
    (tmp_path / "gru").mkdir()
    values = json.loads((tmp_path / "recipe.yaml").read_text())
    values = {k: v for k, v in values.items() if k not in ("feed_forward_size",)} | {"model": "GRU4Rec"}
    (tmp_path / "gru" / "recipe.yaml").write_text(json.dumps(values))
    baseline = train(resolve(tmp_path / "gru" / "recipe.yaml"), tmp_path / "gru" / "run", Silent())
    split, same = run.split(), baseline.split()
    assert (split.columns.behavior[split.test] == split.wanted).all()
    np.testing.assert_array_equal(split.test, same.test)
    assert 0 < len(split.test) < len(split.offsets) - 1


def test_behaviours_may_be_numbers_such_as_stars(tmp_path, mixed):
    lines = (mixed / "mixed" / "mixed.inter").read_text().splitlines()
    stars = {"view": "1", "cart": "2.0", "buy": "5"}
    rows = [line.split("\t") for line in lines[1:]]
    (tmp_path / "stars").mkdir()
    head = "user_id:token\titem_id:token\ttimestamp:float\tstars:float"
    text = "\n".join([head, *("\t".join([*row[:3], stars[row[3]]]) for row in rows)])
    (tmp_path / "stars" / "stars.inter").write_text(text + "\n")
    run = _train(tmp_path, tmp_path, "BehaviorLSTM4Rec", dataset="stars", BEHAVIOR_FIELD="stars")
    assert run.info.behaviors == ("1", "2", "5")
    reopened = RunFolder.open(run.path).split()
    assert sorted(set(reopened.columns.behavior.tolist())) == [1, 2, 3]


@pytest.mark.parametrize("unit", [1000, 10**6, 10**9])
def test_times_in_other_units_are_read_in_seconds(tmp_path, mixed, unit):
    lines = (mixed / "mixed" / "mixed.inter").read_text().splitlines()
    rows = [line.split("\t")[:3] for line in lines[1:]]
    (tmp_path / "fast").mkdir()
    head = "user_id:token\titem_id:token\ttimestamp:float"
    text = "\n".join([head, *("\t".join([user, item, str(int(time) * unit)]) for user, item, time in rows)])
    (tmp_path / "fast" / "fast.inter").write_text(text + "\n")
    run = _train(tmp_path, tmp_path, "TimeLSTM4Rec", dataset="fast")
    slow = train(resolve(_recipe(tmp_path, mixed, "TimeLSTM4Rec", {})), tmp_path / "slow", Silent())
    np.testing.assert_allclose(np.diff(run.split().columns.time), np.diff(slow.split().columns.time), atol=1e-3)


def test_what_the_card_shows_runs(trained, monkeypatch, capsys):
    """Its Python, its command, and where it is given, plain onnxruntime."""
    run, recommender, _ = trained
    bundle = run.path.parent / "bundle"
    monkeypatch.chdir(bundle)
    card = (bundle / "README.md").read_text()
    parts = re.split(r"^## ", card, flags=re.MULTILINE)
    for part in parts:
        code = "\n".join(line[4:] for line in part.splitlines() if line.startswith("    ") or not line.strip())
        if part.startswith(("From Python", "From any language")) and code.strip():
            exec(code.replace("pip install seqrec-plugin", ""), {})
            assert capsys.readouterr().out.strip()
        elif part.startswith("From the command line"):
            words = shlex.split(code.strip())
            result = CliRunner().invoke(cli.main, words[1:])
            assert words[0] == "seqrec" and result.exit_code == 0, result.output
    for name in recommender.manifest.behaviors:
        assert name in card


def test_a_field_of_words_is_no_number(tmp_path, mixed):
    with pytest.raises(BadData, match="'behavior' is of type token, which does not do for NUMERIC_FIELDS"):
        _train(tmp_path, mixed, "LSTMRanker", NUMERIC_FIELDS=["behavior"])
    with pytest.raises(BadData, match=r"Set NUMERIC_FIELDS to one of price\."):
        _train(tmp_path, mixed, "LSTMRanker", NUMERIC_FIELDS=["prise"])


def test_a_user_is_looked_up_and_asked_for_a_behaviour(trained, mixed):
    _, recommender, _ = trained
    manifest = recommender.manifest
    if "next_behavior" not in manifest.columns:
        return
    bundle = trained[0].path.parent / "bundle"
    blind = Recommender.load(bundle, histories=AtomicHistories(mixed / "mixed"))
    with pytest.raises(WrongUsage, match="behavior_field"):
        blind.recommend(user_id="u7")
    histories = AtomicHistories(mixed / "mixed", behavior_field="behavior")
    known = Recommender.load(bundle, histories=histories)
    question = asked_of(histories.history("u7"), manifest)
    for wanted in ("view", "buy"):
        expected = known.recommend(**{**question, "behavior": [*question["behavior"], wanted]})
        assert known.recommend(user_id="u7", behavior=[wanted]) == expected
        assert known.session(user_id="u7").recommend(behavior=[wanted]).items == expected.items
    arguments = ["recommend", str(bundle), "--user", "u7", "--dataset-dir", str(mixed / "mixed"), "--behavior", "buy"]
    result = CliRunner().invoke(cli.main, [*arguments, "--json"])
    assert [i["item"] for i in json.loads(result.stdout)["items"]] == [i.item for i in expected.items]


def test_milliseconds_are_noticed(trained):
    _, recommender, _ = trained
    if "time_gap" in recommender.manifest.columns:
        item = recommender.vocabulary.token(1)
        with pytest.raises(BadData, match="seconds are meant"):
            recommender.recommend([item], time=[1_700_000_000_000])
