"""A recipe: strict, with its defaults, and the same after a round trip."""

import pytest

from seqrec_plugin.errors import SeqrecError
from seqrec_plugin.preparing import recipe
from seqrec_plugin.preparing.recipe import KCore, Recipe


def test_the_template_has_every_key_at_its_default():
    assert recipe.parse(recipe.TEMPLATE) == Recipe()
    import yaml

    assert list(yaml.safe_load(recipe.TEMPLATE)) == list(Recipe.__struct_fields__)


def test_what_is_written_is_read_back():
    given = "behaviors: {map: {1: view, 01: 购买}}\nvalues: {价格: {min: 1}}\nmissing: {价格: drop}\n"
    given += "k_core: {user: 5, item: 5}"
    parsed = recipe.parse(given)
    assert parsed.behaviors.map == {"1": "view", "01": "购买"}  # keys are text, as the file's values are
    assert parsed.k_core == KCore(5, 5)
    assert recipe.parse(recipe.dump(parsed)) == parsed


def test_a_day_without_quotes_is_text():
    assert recipe.parse("times: {before: 2024-06-01}").times.before == "2024-06-01"


def test_an_empty_recipe_is_the_default(tmp_path):
    (tmp_path / "r.yaml").write_text("")
    assert recipe.read(tmp_path / "r.yaml") == Recipe()


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("duplicats: true", "unknown_key", "'duplicates'"),
        ("times: {befor: 2020-01-01}", "unknown_key", "'before'"),
        ("values: {price: {mn: 1}}", "unknown_key", "'min'"),
        ("source: {usr: anna}", "unknown_key", "'user'"),
        ("repeats: soon", "bad_value", "repeats is wrong: expected `float`"),
        ("repeats: -1", "bad_value", "repeats is -1"),
        ("repeats: .nan", "bad_value", "repeats is nan"),
        ("machines: {item_share: 2}", "bad_value", "at most 1"),
        ("values: {price: {min: 2, max: 1}}", "bad_value", "values.price"),
        ("numbers: {price: {lgo: true}}", "unknown_key", "numbers: price has 'lgo'. Did you mean 'log'"),
        ("outliers: {price: iqqr}", "bad_value", "outliers"),
        ("behaviors: {map: {pv: ''}}", "bad_value", "behaviors.map.pv"),
        ("a: 1\na: 2", "bad_value", "stands twice"),
        ("[1, 2]", "bad_value", "mapping"),
        ("a: !!python/object/apply:os.system [ls]", "bad_value", "not valid YAML"),
    ],
)
def test_a_mistake_is_named(text, code, said):
    with pytest.raises(SeqrecError) as found:
        recipe.parse(text, "r.yaml")
    assert found.value.code == code
    assert "r.yaml" in str(found.value) and said in str(found.value)


def test_a_recipe_that_is_not_there(tmp_path):
    with pytest.raises(SeqrecError) as found:
        recipe.read(tmp_path / "none.yaml")
    assert found.value.code == "dataset_missing"


def test_bounds_of_time_in_the_wrong_order_are_told_before_anything_is_read(tmp_path):
    from seqrec_plugin.preparing import prepare

    chosen = recipe.parse("times: {after: 2024-01-01, before: 2023-01-01}")
    with pytest.raises(SeqrecError, match="2024-01-01, which is not earlier than before, 2023-01-01"):
        prepare([str(tmp_path / "none.csv")], tmp_path / "out", chosen, lambda _: None)
