"""One trial: `python -m seqrec_plugin.tuning.trial FILE`, a process of its own, writes a line of JSON each epoch."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from seqrec_plugin.errors import SeqrecError


def main(file: Path) -> int:
    """Train by a configuration, and write the records of its curve to stdout as they come."""
    out, sys.stdout = sys.stdout, sys.stderr  # a library that prints must not speak in between

    def tell(record: dict[str, Any]) -> None:
        out.write(json.dumps(record) + "\n")
        out.flush()

    try:
        from seqrec_plugin.recbole_bridge.settings import resolve
        from seqrec_plugin.training import validate

        validate(resolve(file), tell)
    except SeqrecError as error:
        sys.stderr.write(f"Error: {' '.join(str(error).split())}\n")
        return error.exit_code
    except BrokenPipeError:  # nobody listens any more: the search was killed
        return 1
    return 0


if __name__ == "__main__":
    sys.argv, code = sys.argv[:1], main(Path(sys.argv[1]))  # RecBole's Config reads the process's arguments
    sys.exit(code)
