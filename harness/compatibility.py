"""Record on which Airflow and Python the example's exported DAG runs, and check that README's table is current.

Command line (`hatch run compat`)::

    run [--airflow X.Y] [--python X.Y] [--all]   run every combination without a current result, write the table
    check                                        exit with 1 where a result or the table is stale
    add X.Y [--upgrade]                          write the constraints file of one more Airflow
    preview                                      try the next Airflow's newest pre-release, and report it only

A result is current while the files that it was made from are unchanged.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.compatibility_run import Cell, Outcome, run_cells
from harness.constraints import airflow_minors, preview_minor, write_constraints, write_preview_constraints
from harness.interpreter import InterpreterMissingError, find_interpreter

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "compatibility.json"
README = ROOT / "README.md"
PYTHONS = ("3.11", "3.12", "3.13")

_NODE = Path("packages/dkist-airflow-node/src/dkist_airflow_node")
_BEGIN = "<!-- made by `hatch run compat`: do not edit -->"
_END = "<!-- end of what `hatch run compat` makes -->"


@dataclass(frozen=True)
class Result:
    """The result of a run on one Airflow and one Python."""

    airflow: str
    """Minor version of Airflow."""
    python: str
    """Minor version of Python, Airflow's and the tasks'."""
    release: str
    """The release of Airflow that ran."""
    reason: str
    """Why the run did not succeed; empty if it did."""
    made_from: dict[str, str]
    """First 16 hex digits of the SHA-256 of each file in `sources`, by its path in the repository."""


def sources(airflow: str) -> dict[str, str]:
    """Return the digests of the files, and of the folder, that a result for an Airflow depends on."""
    own = (_NODE / "dag" / "body.py", _NODE / "worker" / "runner", Path("tests/golden"))
    paths = (Path(f"constraints/airflow-{airflow}.txt"), *own)
    return {path.as_posix(): _digest(ROOT / path)[:16] for path in paths}


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and contents of all files below a folder."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    files = sorted(each for each in path.rglob("*") if each.is_file() and each.parent.name != "__pycache__")
    parts = [part for file in files for part in (str(file.relative_to(path)).encode(), file.read_bytes())]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def wanted_cells() -> list[Cell]:
    """Return every supported combination."""
    return [Cell(airflow, python) for airflow in airflow_minors() for python in PYTHONS]


def read_results(path: Path = RESULTS) -> list[Result]:
    """Return the results so far."""
    return [Result(**row) for row in json.loads(path.read_text())] if path.exists() else []


def write_results(results: Sequence[Result], path: Path = RESULTS) -> None:
    """Write the results, in the order of the table."""
    order = {cell: place for place, cell in enumerate(wanted_cells())}
    rows = sorted(results, key=lambda result: order[Cell(result.airflow, result.python)])
    path.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def stale_cells(results: Sequence[Result]) -> dict[Cell, str]:
    """Return each supported combination without a current result, and why."""
    found = {Cell(result.airflow, result.python): result for result in results}
    stale = {}
    for cell in wanted_cells():
        result = found.get(cell)
        if result is None:
            stale[cell] = "has not been run"
        elif changed := [
            path for path, digest in sources(cell.airflow).items() if result.made_from.get(path) != digest
        ]:
            stale[cell] = f"was run before {', '.join(changed)} changed"
    return stale


def table(results: Sequence[Result]) -> str:
    """Render results as README shows them."""
    found = {(result.airflow, result.python): result for result in results}
    lines = [
        f"| Airflow | {' | '.join(f'Python {python}' for python in PYTHONS)} |",
        f"|---|{'---|' * len(PYTHONS)}",
    ]
    for airflow in reversed(airflow_minors()):
        releases = sorted({result.release for result in results if result.airflow == airflow})
        cells = []
        for python in PYTHONS:
            result = found.get((airflow, python))
            cells.append("not run" if result is None else "fails" if result.reason else "runs")
        lines.append(f"| {', '.join(releases) or airflow} | {' | '.join(cells)} |")
    return "\n".join(lines)


def with_table(readme: str, results: Sequence[Result]) -> str:
    """Return a text with the table between its two markers replaced.

    Raises
    ------
    ValueError
        The text does not have each marker once, in this order.
    """
    head, begin, rest = readme.partition(_BEGIN)
    _, end, tail = rest.partition(_END)
    if not (begin and end) or readme.count(_BEGIN) + readme.count(_END) != 2:
        raise ValueError(f"README.md must hold the lines {_BEGIN!r} and {_END!r} once each, for the table between them")
    return f"{head}{begin}\n{table(results)}\n{end}{tail}"


def check() -> list[str]:
    """Return one sentence for each result that is stale or a failure."""
    results = read_results()
    faults = [f"Airflow {cell.airflow} on Python {cell.python} {why}." for cell, why in stale_cells(results).items()]
    faults += [
        f"Airflow {result.release} on Python {result.python} does not run: {result.reason}."
        for result in results
        if result.reason
    ]
    if with_table(README.read_text(), results) != README.read_text():
        faults.append("The table in README.md is not that of docs/compatibility.json.")
    return faults


def run(cells: Sequence[Cell]) -> bool:
    """Run combinations, save each result at once, and return whether all of them succeeded."""
    results = {Cell(result.airflow, result.python): result for result in read_results()}
    results = {cell: result for cell, result in results.items() if cell in wanted_cells()}
    is_good = True
    able = []
    for cell in cells:
        try:
            find_interpreter(cell.python)
        except InterpreterMissingError as error:
            print(f"Airflow {cell.airflow} on Python {cell.python}: NOT RUN. {error}")
            is_good = False
        else:
            able.append(cell)
    made_from = {cell: sources(cell.airflow) for cell in able}  # before the runs: a file may be edited meanwhile
    outcome: Outcome
    for cell, outcome in run_cells(able):
        print(f"Airflow {outcome.release} on Python {cell.python}: {outcome.reason or 'runs'}", flush=True)
        print(outcome.log, end="", file=sys.stderr)
        is_good &= not outcome.reason
        results[cell] = Result(cell.airflow, cell.python, outcome.release, outcome.reason, made_from[cell])
        write_results(list(results.values()))
    README.write_text(with_table(README.read_text(), list(results.values())))
    return is_good


def preview() -> str:
    """Return how the newest pre-release of the next Airflow runs the file: early warning, no requirement."""
    cell = Cell(preview_minor(), PYTHONS[0])
    with tempfile.TemporaryDirectory(prefix="dkist-preview-") as folder:
        try:
            constraints = write_preview_constraints(Path(folder))
            ((_, outcome),) = run_cells([cell], constraints=constraints)
        except (subprocess.CalledProcessError, InterpreterMissingError, RuntimeError) as error:
            return f"Airflow {cell.airflow} (pre-release): could not be tried. {error}"
    return f"{outcome.log}Airflow {outcome.release} on Python {cell.python}: {outcome.reason or 'runs'}"


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run")
    runs.add_argument("--airflow", choices=airflow_minors())
    runs.add_argument("--python", choices=PYTHONS)
    runs.add_argument("--all", action="store_true", help="also combinations with a current result")
    commands.add_parser("check")
    commands.add_parser("preview")
    adds = commands.add_parser("add")
    adds.add_argument("airflow", metavar="X.Y")
    adds.add_argument("--upgrade", action="store_true", help="to the newest versions that fit")
    arguments = parser.parse_args()

    if arguments.command == "add":
        print(write_constraints(arguments.airflow, is_upgrade=arguments.upgrade).relative_to(ROOT))
        return 0
    if arguments.command == "preview":
        print(preview())
        return 0
    if arguments.command == "check":
        faults = check()
        print(
            "\n".join([*faults, "Fix it with: hatch run compat run"] if faults else ["Every combination has been run."])
        )
        return 1 if faults else 0
    results = read_results()
    unproven = stale_cells(results).keys() | {
        Cell(result.airflow, result.python) for result in results if result.reason
    }
    cells = [
        cell
        for cell in wanted_cells()
        if (arguments.all or cell in unproven)
        and arguments.airflow in {None, cell.airflow}
        and arguments.python in {None, cell.python}
    ]
    return 0 if run(cells) else 1


if __name__ == "__main__":
    sys.exit(main())
