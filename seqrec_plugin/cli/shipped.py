"""The recipes that ship with the package, by name."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from seqrec_plugin.errors import WrongUsage, nearest


def shipped() -> dict[str, Path]:
    """Recipe name → its file, by name."""
    # The package is never installed as a zip file, so that each resource is a file on disk.
    files = resources.files("seqrec_plugin.configs").iterdir()
    paths = sorted(Path(str(file)) for file in files if file.name.endswith(".yaml"))
    return {path.stem: path for path in paths}


def find(name_or_path: str) -> Path:
    """The file that a user means: a path that exists wins over the name of a shipped recipe.

    Raises:
        WrongUsage: `bad_value` where there is neither.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    recipes = shipped()
    if name_or_path in recipes:
        return recipes[name_or_path]
    here = [str(p) for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
    hint = nearest(name_or_path, [*recipes, *here]) if recipes or here else ""
    raise WrongUsage("bad_value", f"There is no file and no shipped recipe {name_or_path!r}.", hint)


def is_benchmark(path: Path) -> bool:
    """Whether a recipe is for `seqrec benchmark`, as its first comment says."""
    return "".join(summary(path)[:1]).startswith("seqrec benchmark ")


def summary(path: Path) -> list[str]:
    """The first comment lines of a recipe, without their `#`; the first one is the command that runs it."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("#").strip())
    return lines
