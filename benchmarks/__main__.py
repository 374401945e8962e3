"""Run every benchmark of this folder, print one table and write one JSON: ``hatch run bench``."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Comparison, as_json, table

HERE = Path(__file__).parent
OUTPUT = HERE.parent / "build" / "benchmarks.json"


def benchmarks() -> list[str]:
    """Return the names of the modules that are a benchmark."""
    return sorted(path.stem for path in HERE.glob("*.py") if "\n    report(" in path.read_text())


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=OUTPUT, metavar="FILE", help="[default: build/benchmarks.json]")
    parser.add_argument("name", nargs="*", metavar="NAME", help=f"only these: {', '.join(benchmarks())}")
    arguments = parser.parse_args()
    if unknown := set(arguments.name) - set(benchmarks()):
        parser.error(f"no benchmark is named {', '.join(sorted(unknown))}; there are {', '.join(benchmarks())}")

    comparisons: list[Comparison] = []
    failed = []
    for name in arguments.name or benchmarks():
        print(f"running {name}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="dkist-benchmark-") as folder:
            rows = Path(folder, "rows.json")
            command = [sys.executable, "-m", f"benchmarks.{name}", "--json", str(rows)]
            # Its own table goes to standard error. A benchmark that exceeds a limit has still measured.
            done = subprocess.run(command, cwd=HERE.parent, stdout=sys.stderr, check=False)
            if rows.exists():
                comparisons += _read(rows)
            else:
                failed.append(f"{name} ended with {done.returncode} and measured nothing")
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(as_json(comparisons))
    print(table(comparisons))
    print(f"\nwritten to {arguments.json}")
    broken = [
        f"{row.name}, against {row.against}: above the promised limit, or not measured"
        for row in comparisons
        if not row.is_kept
    ]
    print("\n".join(failed + broken), file=sys.stderr)
    return 1 if failed or broken else 0


def _read(path: Path) -> list[Comparison]:
    rows = json.loads(path.read_text())
    return [Comparison(**{key: value for key, value in row.items() if key != "ratio"}) for row in rows]


if __name__ == "__main__":
    sys.exit(main())
