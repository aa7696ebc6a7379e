"""The arrows of `docs/architecture.md` are those of the code, and what must stay light stays light."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "seqrec_plugin"
FREE = {"errors"}  # everybody may raise


def _rooms() -> dict[str, set[str]]:
    """Room → rooms it may import, from the block headed `imports` in the document."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    block = re.search(r"```imports\n(.*?)```", text, re.DOTALL).group(1)
    lines = [line.partition("→") for line in block.splitlines() if line.strip()]
    return {room.strip(): set(re.findall(r"[\w]+", targets)) for room, _, targets in lines}


def _room_of(path: Path) -> str:
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "seqrec_plugin" if part == "__init__" else part


def _imports(path: Path) -> set[str]:
    """Rooms that a file imports at run time (not only for type checking)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "seqrec_plugin" and len(parts) > 1:
                found.add(parts[1])
    return found


def test_imports_go_only_where_the_document_says():
    rooms = _rooms()
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        room = _room_of(path)
        assert room in rooms or room in FREE, f"{room} is not in docs/architecture.md"
        known = _imports(path) & (set(rooms) | FREE)
        wrong += [f"{path.relative_to(ROOT)} → {other}" for other in known - FREE - {room} - rooms.get(room, set())]
    assert not wrong


def test_the_document_allows_nothing_that_no_code_does():
    used: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        used.setdefault(_room_of(path), set()).update(_imports(path))
    idle = {
        (room, other) for room, others in _rooms().items() for other in others if other not in used.get(room, set())
    }
    assert not idle


def test_only_the_bridge_imports_recbole():
    """Building names RecBole's functions that it calls, and nobody else knows RecBole."""
    importers = {
        _room_of(path)
        for path in PACKAGE.rglob("*.py")
        if re.search(r"^\s*(from|import) recbole\b", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert importers == {"recbole_bridge", "building"}


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import seqrec_plugin", "torch recbole onnx onnxruntime numpy"),
        ("import seqrec_plugin.recbole_bridge", "torch recbole"),
        ("import seqrec_plugin.runtime", "torch recbole onnx pandas"),
        ("import seqrec_plugin.verifying", "torch recbole onnx pandas"),
        ("import seqrec_plugin.exporting", "recbole pandas"),
        ("import seqrec_plugin.evaluating", "recbole pandas onnx onnxruntime"),
        ("import seqrec_plugin.diagnosing", "torch recbole numpy onnxruntime msgspec click"),
        ("from seqrec_plugin.cli import recommend, verify, inspect, train, export", "torch recbole onnx onnxruntime"),
        ("from seqrec_plugin.cli import benchmark", "torch recbole onnx onnxruntime"),
    ],
)
def test_what_must_stay_light_does(code, absent):
    check = f"{code}\nimport sys\nheavy = [m for m in {absent.split()!r} if m in sys.modules]\nassert not heavy, heavy"
    subprocess.run([sys.executable, "-c", check], check=True)
