"""Runs docs/benchmark.ipynb anew and stores its outputs in it: `make notebook`. The tests run it with fewer epochs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import nbclient
import nbformat

NOTEBOOK = Path(__file__).with_name("benchmark.ipynb")

#: What a notebook says of itself; the rest would be the machine's.
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def run(parameters: str = "") -> Any:
    """Run the notebook in a folder that is gone afterwards.

    Args:
        parameters: what stands in the cell tagged `parameters` instead, if anything.

    Returns:
        the notebook with its outputs, without what was written to stderr (warnings that name the machine's paths).

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        if parameters and "parameters" in cell.metadata.get("tags", ()):
            cell.source = parameters
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        nbclient.NotebookClient(notebook, kernel_name="python3", record_timing=False, resources=resources).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata = METADATA
    return notebook


if __name__ == "__main__":
    nbformat.write(run(), NOTEBOOK)
    print(NOTEBOOK)
