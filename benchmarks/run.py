"""Run every benchmark in a process of its own, and say which promises are kept.

Each module beside this one but `run` is a benchmark: it prints what it measured and ends with 0
only if the promise in its docstring is kept. Run as `python -m benchmarks.run [NAME …]`.
"""

import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent


def main(names: list[str]) -> int:
    """Run the benchmarks, or the named ones; return how many promises were not kept."""
    there = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in {"__init__", "run"})
    broken = []
    for name in names or there:
        if name not in there:
            print(f"There is no benchmark {name!r}; there are: {', '.join(there)}.")
            return 2
        print(f"\n######## {name}\n", flush=True)
        began = time.monotonic()
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        ended = subprocess.run(command, cwd=HERE.parent, check=False)
        print(f"({time.monotonic() - began:.0f} s)", flush=True)
        if ended.returncode:
            broken.append(name)
    print(f"\nNot kept: {', '.join(broken)}." if broken else "\nAll promises are kept.")
    return len(broken)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
