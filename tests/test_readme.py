"""The README's calls run, and it names what there is."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from seqrec_plugin.cli import COMMANDS
from tests.conftest import write_dataset

TEXT = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_its_serving_code_runs(tiny_bundle, tmp_path):
    for name in ("demo", "shop"):
        shutil.copytree(tiny_bundle, tmp_path / "bundles" / name)
    write_dataset(tmp_path / "data", "shop", [("anna", "007", "1"), ("anna", "苹果", "2")])
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    serving = [block for block in blocks if "Recommender" in block]
    assert len(serving) == 2
    code = "\n".join([*serving, 'assert answer.status == "ok"'])
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_its_atomic_file_is_one(tmp_path):
    from seqrec_plugin import atomic

    block = re.search(r"((?:    user_id:token.*\n)(?:    .+\n)+)", TEXT).group(1)
    (tmp_path / "shop.inter").write_text(re.sub("^    ", "", block, flags=re.MULTILINE))
    assert atomic.read(tmp_path / "shop.inter").column("item_id") == ["007", "苹果"]


def test_it_names_every_command_and_no_other():
    named = set(re.findall(r"`seqrec ([a-z][\w-]*)`", TEXT))
    named |= set(re.findall(r"^    seqrec ([\w-]+)", TEXT, re.MULTILINE))
    named |= {
        word
        for row in re.findall(r"^\| `seqrec .*? \|", TEXT, re.MULTILINE)
        for word in re.findall(r"`(?:seqrec )?([\w-]+)`", row)
    }
    assert named == set(COMMANDS)


def test_every_file_it_names_is_there():
    root = Path(__file__).parents[1]
    for link in re.findall(r"\]\(([^)#:]+)\)", TEXT) + re.findall(r"`(tests/[\w/.]+|seqrec_plugin/\w+)`", TEXT):
        assert (root / link).exists(), link
