"""What a service relies on: the same answers however they are asked for, and no question that hurts."""

import json
import subprocess
import sys
import threading

import msgspec
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from seqrec_plugin import bundle, inference, ranking
from seqrec_plugin.errors import BadData, SeqrecError, WrongUsage
from seqrec_plugin.history import Event, Question, to_question
from seqrec_plugin.runtime import Recommender
from seqrec_plugin.vocabulary import Vocabulary
from tests import summing
from tests.conftest import AWKWARD

TOKENS = [*AWKWARD, *(f"i{n}" for n in range(30))]
HISTORIES = st.lists(st.sampled_from(TOKENS), max_size=8)


@pytest.fixture(scope="module")
def recommender(tiny_bundle):
    return Recommender.load(tiny_bundle)


def refused(code, call, told=""):
    with pytest.raises(SeqrecError) as error:
        call()
    assert error.value.code == code
    assert told in str(error.value)
    return error.value


def same(one, other):
    """Two answers with the same items and, to 1e-5, the same scores."""
    assert [item.item for item in one.items] == [item.item for item in other.items]
    assert np.allclose([i.score for i in one.items], [i.score for i in other.items], rtol=1e-5, atol=1e-5)


def huge():
    """A table in which three times the item e is beyond float32."""
    rows = summing.table()
    rows[5] = np.finfo(np.float32).max / 2
    return rows


class TestOneQuestion:
    def test_the_answer_names_items_with_scores_titles_and_the_bundle(self, recommender, tiny_bundle):
        answer = recommender.recommend(["007", "NA"])
        assert answer.status == "ok" and len(answer.items) == 10 and not answer.unknown and not answer.truncated
        assert [i.score for i in answer.items] == sorted((i.score for i in answer.items), reverse=True)
        assert all(i.title == f"The {i.item}" for i in answer.items if i.item != "i29")
        assert answer.bundle == recommender.bundle_id == bundle.read(tiny_bundle).id

    def test_the_json_is_the_specifications(self, recommender):
        (answer,) = recommender.recommend_batch([{"id": 7, "history": ["NA", "?"], "k": 1}])
        found = json.loads(msgspec.json.encode(answer))
        assert list(found) == ["id", "status", "items", "unknown", "truncated", "beyond_max_history", "bundle"]
        assert found["id"] == "7" and found["unknown"] == ["?"]
        assert found["items"][0].keys() == {"item", "score", "title"}

    def test_known_by_hand(self, tmp_path):
        answer = Recommender.load(summing.write(tmp_path / "b")).recommend(["a", "b"], k=3)
        rows = summing.table()
        scores = (rows[1] + rows[2]) @ rows.T
        expected = sorted([3, 4, 5], key=lambda i: -scores[i])
        assert [i.item for i in answer.items] == [summing.TOKENS[i - 1] for i in expected]
        assert [i.score for i in answer.items] == pytest.approx(scores[expected].tolist(), rel=1e-6)
        assert answer.items[0].title is None

    def test_a_long_history_is_read_as_its_newest_items_and_excluded_whole(self, recommender):
        history = TOKENS[:20]
        answer = recommender.recommend(history, k=20)
        assert answer.truncated and not {i.item for i in answer.items} & set(history)
        same(answer, recommender.recommend(history[-8:], exclude=history[:-8], k=20))
        assert not recommender.recommend(history[-8:]).truncated

    def test_unknown_items_are_dropped_first_and_told_in_order(self, recommender):
        answer = recommender.recommend(["?", "007", "na", "NA", "?"])
        assert answer.unknown == ("?", "na", "?") and answer.status == "ok"
        same(answer, recommender.recommend(["007", "NA"]))

    def test_nothing_known_is_a_newcomer(self, recommender):
        empty, unknown = recommender.recommend([]), recommender.recommend(["?"])
        assert empty.status == unknown.status == "newcomer" and len(empty.items) == 10
        assert unknown.unknown == ("?",)
        same(empty, unknown)

    def test_integers_are_their_decimal_text(self, tmp_path):
        path = tmp_path / "b"
        with bundle.writing(path) as folder:
            items = Vocabulary(["1", "2", "3", "4", "-5"]).encode()
            bundle.fill(
                folder, summing.manifest(), {"model.onnx": summing.graph(), "items.json": items, "golden.json": b""}
            )
        recommender = Recommender.load(path)
        same(recommender.recommend([1, np.int64(-5)]), recommender.recommend(["1", "-5"]))

    def test_seen_items_come_only_if_asked_for(self, recommender, tmp_path):
        history = TOKENS[:3]
        default = recommender.recommend(history, k=20, include_seen=None)
        assert not {i.item for i in default.items} & set(history)
        everything = [recommender.recommend(history, k=20, include_seen=True, exclude=TOKENS[20:])]
        assert set(history) <= {i.item for i in everything[0].items}
        keeps = Recommender.load(summing.write(tmp_path / "b", exclude_seen=False))
        assert "a" in {i.item for i in keeps.recommend(["a"], exclude=["d", "e"]).items}
        assert "a" not in {i.item for i in keeps.recommend(["a"], include_seen=False).items}

    def test_exclude_is_also_an_availability_filter(self, recommender):
        left = TOKENS[5:8]
        answer = recommender.recommend(["007"], exclude=[t for t in TOKENS if t not in left] + ["?"])
        assert {i.item for i in answer.items} == set(left) and not answer.unknown
        assert recommender.recommend([], exclude=TOKENS).items == ()

    @pytest.mark.parametrize("k", [0, -1, 21, 10**6, True, 1.0, "3"])
    def test_a_k_out_of_range_says_how_to_get_more(self, recommender, k):
        error = refused("bad_k", lambda: recommender.recommend(["007"], k=k), "1 to 20")
        assert error.exit_code == 2 and "--top-k" in error.hint

    def test_k_by_default_is_ten_or_all_there_is(self, recommender, tmp_path):
        assert len(recommender.recommend([]).items) == 10
        assert len(Recommender.load(summing.write(tmp_path / "b")).recommend([]).items) == 3

    def test_a_plain_text_is_not_a_history(self, recommender):
        refused("bad_question", lambda: recommender.recommend("007"), "not a list")

    def test_whose_history_must_be_clear(self, recommender):
        refused("bad_value", lambda: recommender.recommend(), "newcomer")
        refused("bad_value", lambda: recommender.recommend([], user_id="1"))
        refused("bad_value", lambda: recommender.recommend(user_id="1"), "histories")

    def test_a_users_history_is_looked_up(self, tiny_bundle):
        class Histories:
            def history(self, user_id):
                if user_id != "42":
                    raise BadData("unknown_user", f"no {user_id}")
                return [Event("007", 1), Event("NA")]

        recommender = Recommender.load(tiny_bundle, histories=Histories())
        same(recommender.recommend(user_id=42), recommender.recommend(["007", "NA"]))
        refused("unknown_user", lambda: recommender.recommend(user_id="43"))


class TestManyQuestions:
    def test_as_many_answers_as_questions_in_their_order(self, recommender):
        questions = [{"id": str(n), "history": TOKENS[: n % 9], "k": 1 + n % 20} for n in range(150)]
        answers = recommender.recommend_batch(questions)
        assert [a.id for a in answers] == [q["id"] for q in questions]
        for question, answer in zip(questions, answers, strict=True):
            same(answer, recommender.recommend(question["history"], k=question["k"]))

    def test_a_batch_never_exceeds_its_rows(self, recommender, monkeypatch):
        sizes, run = [], recommender.run
        monkeypatch.setattr(
            recommender, "run", lambda item_seq, *rest: sizes.append(len(item_seq)) or run(item_seq, *rest)
        )
        recommender.recommend_batch([{"history": ["007"]}] * 130)
        assert sizes == [64, 64, 2]

    def test_a_bad_question_is_an_answer_and_the_others_go_on(self, recommender):
        good = {"history": ["007"]}
        bad = [
            (b"nonsense", "bad_question", None),
            ('{"id": "x", "histroy": []}', "bad_question", "x"),
            ({"id": 3, "history": ["NA"], "k": 0}, "bad_k", "3"),
            ({"history": [1.5]}, "bad_question", None),
            ({"id": [], "history": []}, "bad_question", None),
            (["007"], "bad_question", None),
            (None, "bad_question", None),
        ]
        sources = [item for source, _, _ in bad for item in (good, source)]
        answers = recommender.recommend_batch(sources)
        assert len(answers) == len(sources)
        for answer in answers[::2]:
            same(answer, recommender.recommend(["007"]))
        for answer, (_, code, identity) in zip(answers[1::2], bad, strict=True):
            assert (answer.status, answer.id, answer.items) == (code, identity, ())
            assert answer.failed and answer.message and answer.bundle == recommender.bundle_id

    def test_every_form_of_a_question_is_the_same(self, recommender):
        one, *others = recommender.recommend_batch(
            [Question(history=("NA",)), {"history": ["NA"]}, '{"history": ["NA"]}', b'{"history": ["NA"]}']
        )
        for other in others:
            assert other == one

    def test_nothing_asked_is_nothing_answered(self, recommender):
        assert recommender.recommend_batch([]) == []
        refused("bad_k", lambda: recommender.recommend_batch([], k=0))

    def test_one_users_nan_is_not_the_others(self, tmp_path):
        recommender = Recommender.load(summing.write(tmp_path / "b", summing.graph(huge())))
        refused("not_finite", lambda: recommender.recommend(["e", "e", "e"]))
        bad, good = recommender.recommend_batch([{"history": ["e", "e", "e"]}, {"history": ["a"]}])
        assert bad.status == "not_finite" and bad.failed and good.status == "ok" and good.items

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
    @given(st.lists(HISTORIES, min_size=1, max_size=6))
    def test_alone_and_beside_others_are_the_same(self, recommender, histories):
        rows = [recommender.encode(to_question({"history": history})).row for history in histories]
        batch = recommender.run(rows)
        for i, row in enumerate(rows):
            alone = recommender.run([row])
            assert np.allclose(alone.scores[0], batch.scores[i], rtol=1e-5, atol=1e-5)
            for a, b in zip(alone.state, batch.state, strict=True):
                assert np.allclose(a[0], b[i], rtol=1e-5, atol=1e-5)


class TestSessions:
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
    @given(HISTORIES, st.lists(st.integers(0, 8), max_size=3))
    def test_carried_is_whole_at_every_cut(self, recommender, history, cuts):
        session, begin = recommender.session(), 0
        for end in [*sorted(min(cut, len(history)) for cut in cuts), len(history)]:
            answer = session.push(history[begin:end])
            whole = recommender.recommend(history[:end])
            assert answer.status == whole.status
            same(answer, whole)
            begin = end

    def test_two_users_do_not_hear_each_other(self, recommender):
        one, other = recommender.session(), recommender.session(["苹果"])
        for a, b in zip(TOKENS[:4], TOKENS[4:8], strict=True):
            first, second = one.push([a]), other.push([b])
        same(first, recommender.recommend(TOKENS[:4]))
        same(second, recommender.recommend(["苹果", *TOKENS[4:8]]))

    def test_unknown_items_call_nothing_and_change_nothing(self, recommender, monkeypatch):
        session = recommender.session()
        before = session.push(["007", "NA"])
        state = session.state
        monkeypatch.setattr(recommender, "run", None)
        answer = session.push(["?"])
        assert answer.unknown == ("?",) and answer.status == "ok" and session.state is state
        assert session.push([]).items == before.items == answer.items

    def test_a_newcomers_session_starts_from_zeros(self, recommender):
        session = recommender.session()
        assert session.push([]).status == "newcomer"
        assert session.push(["?"]).status == "newcomer"
        assert all((tensor == 0).all() for tensor in session.state)
        same(session.push(["007"]), recommender.recommend(["007"]))

    def test_asking_again_changes_nothing(self, recommender):
        session = recommender.session(TOKENS[:3])
        state = session.state
        same(session.recommend(k=20), recommender.recommend(TOKENS[:3], k=20))
        same(session.recommend(exclude=TOKENS[3:25]), recommender.recommend(TOKENS[:3], exclude=TOKENS[3:25]))
        assert session.state is state
        same(session.push([TOKENS[3]], exclude=["i5"]), recommender.recommend(TOKENS[:4], exclude=["i5"]))
        same(session.recommend(), recommender.recommend(TOKENS[:4]))

    def test_a_session_may_go_on_past_the_limit_and_says_so(self, recommender):
        session = recommender.session(TOKENS[:7])
        assert not session.push([TOKENS[7]]).beyond_max_history
        answer = session.push([TOKENS[8]], k=20)
        assert answer.beyond_max_history and not answer.truncated
        assert not {i.item for i in answer.items} & set(TOKENS[:9])

    def test_a_first_call_is_cut_and_says_so_from_then_on(self, recommender):
        session = recommender.session()
        answer = session.push(TOKENS[:20], k=20)
        assert answer.truncated and not answer.beyond_max_history
        same(answer, recommender.recommend(TOKENS[:20], k=20))
        answer = session.push([TOKENS[20]], k=19)
        assert answer.truncated and answer.beyond_max_history
        assert not {i.item for i in answer.items} & set(TOKENS[:21])

    def test_include_seen_holds_for_the_session(self, recommender):
        answer = recommender.session(["007"], include_seen=True).recommend(k=20, exclude=TOKENS[20:])
        assert "007" in {i.item for i in answer.items}

    def test_a_refused_push_changes_nothing(self, recommender):
        session = recommender.session(["007"])
        state = session.state
        for call in (lambda: session.push("NA"), lambda: session.push([1.5]), lambda: session.push(["NA"], k=0)):
            with pytest.raises(SeqrecError):
                call()
        assert session.state is state
        same(session.recommend(), recommender.recommend(["007"]))

    def test_a_failing_step_changes_nothing(self, tmp_path):
        session = Recommender.load(summing.write(tmp_path / "b", summing.graph(huge()))).session(["a"])
        before = session.recommend()
        refused("not_finite", lambda: session.push(["b", "e", "e", "e"]))
        assert session.recommend() == before

    def test_an_events_cost_does_not_grow_with_the_history(self, recommender, monkeypatch):
        shapes, run = [], recommender.run
        session = recommender.session(TOKENS[:8])
        monkeypatch.setattr(
            recommender, "run", lambda rows, *rest: shapes.append([len(row.items) for row in rows]) or run(rows, *rest)
        )
        for token in TOKENS * 3:
            session.push([token])
        assert shapes == [[1]] * 3 * len(TOKENS)

    def test_a_model_without_state_has_no_sessions(self, recommender, monkeypatch):
        monkeypatch.setattr(recommender, "manifest", msgspec.structs.replace(recommender.manifest, state=()))
        refused("bad_value", recommender.session, "no state")


class TestTheGuardedCall:
    def run(self, recommender, item_seq, exclude=None, state=None):
        item_seq = np.array(item_seq, dtype=np.int64).reshape(len(item_seq), -1)
        exclude = np.zeros((len(item_seq), 0), dtype=np.int64) if exclude is None else np.array(exclude)
        return recommender.run_arrays(item_seq, choice=exclude, state=state)

    def states(self, recommender, value=0.5, batch=1):
        return [np.full((batch, spec.size), value, dtype=np.float32) for spec in recommender.manifest.state]

    def test_it_is_the_reference_ranking(self, recommender):
        every = [[index] for index in range(1, 41)]
        none = self.run(recommender, every)
        scores = np.full((40, 41), -np.inf, dtype=np.float32)
        np.put_along_axis(scores, none.items, none.scores, axis=1)
        # Leave out the best ten: of the twenty known scores, ten remain.
        found = self.run(recommender, every, none.items[:, :10])
        items, best = ranking.top_k(ranking.exclude(scores, none.items[:, :10]), 10)
        assert (found.items[:, :10] == items).all() and (found.scores[:, :10] == best).all()

    def test_no_rows_are_answered_without_a_call(self, recommender):
        found = recommender.run_arrays(np.zeros((0, 5), dtype=np.int64))
        assert found.items.shape == found.scores.shape == (0, 20) and found.user_embedding.shape == (0, 8)
        assert [s.shape for s in found.state] == [(0, spec.size) for spec in recommender.manifest.state]

    @pytest.mark.parametrize("index", [-1, 41, 2**40, -(2**63)])
    def test_an_index_outside_the_catalogue_never_reaches_the_graph(self, recommender, index):
        refused("bad_index", lambda: self.run(recommender, [[1, index]]), str(index))
        refused("bad_index", lambda: self.run(recommender, [[1]], [[index]]), str(index))

    @pytest.mark.parametrize("item_seq", [np.zeros((1, 0), dtype=np.int64), np.array([1]), np.array([[1.0]])])
    def test_a_wrong_shape_or_dtype_is_refused(self, recommender, item_seq):
        refused("bad_index", lambda: recommender.run_arrays(item_seq))

    def test_as_many_rows_of_exclusions_as_of_histories(self, recommender):
        refused("bad_index", lambda: self.run(recommender, [[1]], np.zeros((2, 0), dtype=np.int64)))

    def test_padding_on_the_right_is_refused(self, recommender):
        refused("bad_index", lambda: self.run(recommender, [[1, 0]]), "left")

    def test_a_bad_state_is_refused(self, recommender):
        good = self.states(recommender)
        self.run(recommender, [[1]], state=good)
        bad = [
            good[:-1],
            [*good, good[0]],
            [good[0][0], *good[1:]],
            [good[0][:, :-1], *good[1:]],
            [good[0].astype(np.float64), *good[1:]],
            [good[0].tolist(), *good[1:]],
            [np.full_like(good[0], np.nan), *good[1:]],
            [np.full_like(good[0], np.inf), *good[1:]],
            self.states(recommender, batch=2),
        ]
        for state in bad:
            refused("bad_state", lambda state=state: self.run(recommender, [[1]], state=state))

    def test_a_carried_row_holds_no_padding(self, recommender):
        refused("bad_state", lambda: self.run(recommender, [[0, 1]], state=self.states(recommender)), "padding")
        refused("bad_state", lambda: self.run(recommender, [[0]], state=self.states(recommender)))
        self.run(recommender, [[0, 1]], state=self.states(recommender, value=0))

    def test_many_threads_at_once(self, recommender):
        expected = {n: recommender.recommend(TOKENS[:n]) for n in range(9)}
        wrong = []

        def ask():
            for n in list(expected) * 20:
                if recommender.recommend(TOKENS[:n]) != expected[n]:
                    wrong.append(n)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


class TestLoading:
    def test_a_graph_that_is_none(self, tmp_path):
        refused("graph_invalid", lambda: Recommender.load(summing.write(tmp_path / "b", b"nonsense")), "model.onnx")

    def test_a_graph_that_names_an_external_file(self, tmp_path):
        model = onnx.load_from_string(summing.graph())
        table = model.graph.initializer[0]
        table.ClearField("raw_data")
        table.data_location = TensorProto.EXTERNAL
        table.external_data.add(key="location", value="/etc/passwd")
        path = summing.write(tmp_path / "b", model.SerializeToString())
        refused("graph_invalid", lambda: Recommender.load(path), "external")

    @pytest.mark.parametrize(
        "graph",
        [
            {"item_seq_dtype": TensorProto.INT32},
            {"score": "points"},
        ],
    )
    def test_a_graph_unlike_its_manifest(self, tmp_path, graph):
        path = summing.write(tmp_path / "b", summing.graph(**graph))
        refused("graph_invalid", lambda: Recommender.load(path))

    def test_a_graph_with_another_top_k_than_its_manifest(self, tmp_path):
        tensors = [
            msgspec.structs.replace(t, shape=("batch", 2)) if t.name in ("items", "scores") else t
            for t in summing.manifest().outputs
        ]
        path = summing.write(tmp_path / "b", top_k=2, outputs=tuple(tensors))
        refused("graph_invalid", lambda: Recommender.load(path), "[any, 3]")

    def test_a_manifest_that_asks_for_an_input_nobody_knows(self, tmp_path):
        extra = msgspec.structs.replace(summing.manifest().inputs[0], name="mood")
        path = summing.write(tmp_path / "b", inputs=(*summing.manifest().inputs, extra))
        refused("manifest_invalid", lambda: Recommender.load(path), "mood")

    def test_items_that_are_not_the_manifests(self, tmp_path):
        with bundle.writing(tmp_path / "b") as folder:
            items = Vocabulary(["a"]).encode()
            contents = {"model.onnx": summing.graph(), "items.json": items, "golden.json": b""}
            bundle.fill(folder, summing.manifest(), contents)
        refused("items_invalid", lambda: Recommender.load(tmp_path / "b"), "2 entries")

    def test_a_graph_that_answers_outside_the_catalogue(self, tmp_path):
        model = onnx.load_from_string(summing.graph())
        (where,) = [node for node in model.graph.node if node.op_type == "Where"]
        where.output[0] = "found"
        model.graph.initializer.append(helper.make_tensor("hundred", TensorProto.INT64, [], [100]))
        model.graph.node.append(helper.make_node("Add", ["found", "hundred"], ["items"]))
        recommender = Recommender.load(summing.write(tmp_path / "b", model.SerializeToString()))
        refused("graph_invalid", lambda: recommender.recommend(["a"]), "outside the catalogue")

    @pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2"])
    def test_threads_must_be_a_number_of_cores(self, tiny_bundle, threads):
        with pytest.raises(WrongUsage) as error:
            Recommender.load(tiny_bundle, threads=threads)
        assert error.value.code == "bad_value"

    def test_more_threads_than_cores_are_not_taken(self, tiny_bundle, monkeypatch):
        monkeypatch.setattr(inference, "_cores", lambda: 1)
        before = threading.active_count()
        assert Recommender.load(tiny_bundle, threads=64).recommend(["007"]).items
        assert threading.active_count() == before

    def test_a_missing_onnxruntime_is_told(self, tiny_bundle, monkeypatch):
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        refused("missing_extra", lambda: Recommender.load(tiny_bundle), "pip install onnxruntime")

    def test_serving_needs_neither_torch_nor_recbole_nor_onnx(self, tiny_bundle):
        code = (
            "import sys\n"
            "import seqrec_plugin.runtime\n"
            "assert 'onnxruntime' not in sys.modules\n"
            "from seqrec_plugin.runtime import Recommender\n"
            "assert Recommender.load(sys.argv[1]).session(['007']).push(['NA']).items\n"
            "from seqrec_plugin.verifying import verify\n"
            "assert list(verify(sys.argv[1]))\n"
            "assert not {'torch', 'recbole', 'onnx', 'pandas'} & set(sys.modules)\n"
        )
        subprocess.run([sys.executable, "-c", code, str(tiny_bundle)], check=True)

    @pytest.mark.skipif(sys.platform == "win32", reason="needs the module resource")
    def test_ten_thousand_requests_of_any_length_leave_memory_flat(self, tiny_bundle):
        code = (
            "import random, resource, sys\n"
            "from seqrec_plugin.runtime import Recommender\n"
            "recommender = Recommender.load(sys.argv[1])\n"
            "tokens = recommender.vocabulary.tokens\n"
            "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
            "for n in range(10_000):\n"
            "    recommender.recommend(random.choices(tokens, k=random.randrange(60)))\n"
            "    before = peak() if n == 1_000 else before if n else None\n"
            "assert peak() < 1.05 * before, (before, peak())\n"
        )
        subprocess.run([sys.executable, "-c", code, str(tiny_bundle)], check=True)
