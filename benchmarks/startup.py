"""What imports load and how long they take, each in fresh processes."""

import statistics
import subprocess
import sys
import time

from seqrec_plugin import machine

HEAVY = ["torch", "recbole", "onnx", "onnxruntime", "numpy", "pandas"]
CASES = {
    "import seqrec_plugin": [sys.executable, "-c", "import seqrec_plugin"],
    "import seqrec_plugin.runtime": [sys.executable, "-c", "import seqrec_plugin.runtime"],
    "seqrec --help": [sys.executable, "-m", "seqrec_plugin.cli", "--help"],
    "python alone": [sys.executable, "-c", ""],
}


def main() -> None:
    print(machine.describe())
    for name, command in CASES.items():
        taken = []
        for _ in range(11):
            began = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            taken.append(time.perf_counter() - began)
        loaded = ""
        if name.startswith("import"):
            code = f"{name}\nimport sys; print(*[m for m in {HEAVY} if m in sys.modules])"
            loaded = subprocess.run(
                [sys.executable, "-c", code], check=True, capture_output=True, text=True
            ).stdout.strip()
            loaded = f"loads {loaded or 'none of ' + ', '.join(HEAVY)}"
        print(f"{name:<32} {statistics.median(taken):.3f} s  {loaded}")


if __name__ == "__main__":
    main()
