"""What a service must install to answer from a bundle, in MB on disk, beside torch.

`python benchmarks/install_sizes.py`: each in an environment of its own, made anew (needs the package indexes, and npm
for two of the rows). Without pip, compiled caches and Python or Node.js themselves.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from seqrec_plugin import machine

ROOT = Path(__file__).resolve().parent.parent
CLIENTS = ROOT / "export/clients"


def size(folder: Path, pattern: str = "*") -> float:
    """MB of the files under a folder."""
    files = (file for file in folder.rglob(pattern) if file.is_file() and not file.is_symlink())
    kept = (file for file in files if "__pycache__" not in file.parts and "pip" not in file.parts)
    return sum(file.stat().st_size for file in kept) / 1e6


def in_python(folder: Path, *packages: str) -> float:
    """An environment with these packages."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    install = [folder / "bin/pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    subprocess.run([*install, "-c", ROOT / "constraints.txt"], check=True, stderr=subprocess.DEVNULL)
    return size(folder / "lib")


def in_node(folder: Path, client: str) -> Path:
    """A client's packages, as its lock file has them."""
    place = folder / client
    shutil.copytree(CLIENTS / client, place, ignore=shutil.ignore_patterns("node_modules"))
    subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=place, check=True)
    return place / "node_modules"


def main() -> None:
    print(machine.describe())
    print("\n| what | MB |\n| --- | ---: |", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, packages in {
            "Python client: numpy, onnxruntime": ("numpy", "onnxruntime"),
            "tract client: numpy, tract": ("numpy", "tract"),
            "seqrec-plugin, with its command line": (str(ROOT),),
            "torch, CPU build": ("torch",),
        }.items():
            print(f"| {name} | {in_python(folder / name.split(':')[0].split(',')[0], *packages):.0f} |", flush=True)
        if shutil.which("npm"):
            modules = in_node(folder, "node")
            print(f"| Node client, as npm installs it | {size(modules):.0f} |")
            (here,) = (modules / "onnxruntime-node/bin").glob("*/linux/x64")
            print(f"| of that, what runs on Linux x64 | {size(here) + size(modules / 'onnxruntime-common'):.0f} |")
            wasm = in_node(folder, "web") / "onnxruntime-web/dist"
            fetched = size(wasm, "ort-wasm-simd-threaded.wasm") + size(wasm, "ort.wasm.bundle.min.mjs")
            print(f"| web client, what a browser fetches | {fetched:.0f} |")


if __name__ == "__main__":
    main()
