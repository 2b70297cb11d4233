"""Writes a host's row of docs/hosts.md out of what a run of the suite reported.

    python scripts/host_matrix.py --comfyui .cache/ComfyUI report.xml [more.xml ...]

with the Python that the tests ran in; `make matrix` does both. Several reports (of a suite that ran in
pieces) are added up. The row of the same ComfyUI and Python is replaced, all others stay.
"""

import argparse
import platform
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from xml.etree import ElementTree

from host_core import commit_of, core_in
from setup_step import SetupError

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "hosts.md"
COLUMNS = ("ComfyUI", "frontend", "torch", "Python", "av", "date", "EverTalk", "passed", "failed", "skipped")
MAX_REASON = 160

INTRODUCTION = """# Hosts that the suite ran on

Each row is one run of the suite on a CPU, of the whole of it unless a line below says what was not run;
`make matrix HOST_COMFYUI=/path` (or `CORE_TAG=v0.33.0`, or `PYTHON=python3.13`) runs it and writes its row
and the reasons below. Nothing here is written by hand.

Two faults of ComfyUI 0.3.75 and 0.33.0 that no pack can mend, with its own nodes alone: a prompt that no
editor makes can end its worker thread, so that the server answers and starts no job until it is restarted;
and a node that is given thousands of links which it does not know keeps the worker busy for half a minute.
EverTalk's nodes are not the cause of either: such inputs of theirs are made plain or left out before ComfyUI
looks at them.
"""

FOLDERS_OF_A_PATH = re.compile(r"(?<![\w.:/])/(?:[\w.@+-]+/)+")
"""The folders of an absolute path, which say something about one machine alone."""


@dataclass
class Tally:
    """What became of the tests."""

    passed: int = 0
    failed: dict[str, str] = field(default_factory=dict[str, str])
    """A test's name -> the first line of what went wrong."""
    skipped: Counter[str] = field(default_factory=Counter[str])
    """A reason -> how many tests were skipped for it."""
    date: str = ""
    modules: set[str] = field(default_factory=set[str])
    """The modules that were run, e.g. `tests.web.test_editor`."""

    def add(self, report: Path) -> None:
        """Add a report in JUnit's form, as `pytest --junitxml` writes it."""
        root = ElementTree.parse(report).getroot()
        self.date = max(self.date, *(suite.get("timestamp", "")[:10] for suite in root.iter("testsuite")))
        for case in root.iter("testcase"):
            self.modules.add(str(case.get("classname")))
            name = f"{case.get('classname')}::{case.get('name')}".removeprefix("tests.")
            bad = next(
                (case.find(kind) for kind in ("failure", "error") if case.find(kind) is not None), None
            )
            skip = case.find("skipped")
            if bad is not None:
                self.failed[name] = first_line(bad.get("message") or bad.text or "")
            elif skip is not None:
                self.skipped[first_line(skip.get("message") or "")] += 1
            else:
                self.passed += 1


def first_line(text: str) -> str:
    """The first line of a reason, short, without a machine's folders and without what tables are made of."""
    line = FOLDERS_OF_A_PATH.sub("", text.strip().split("\n", maxsplit=1)[0]).replace("|", "/")
    return line if len(line) <= MAX_REASON else f"{line[: MAX_REASON - 3]}..."


def version_of(package: str) -> str:
    """A package's release in this environment."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def our_commit() -> str:
    """The commit of the checkout, with a + if files differ from it."""
    command = ["git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no"]
    changed = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return commit_of(ROOT) + ("+" if changed else "")


def row_of(comfyui: Path, tally: Tally) -> list[str]:
    """The cells of a host's row, in the order of COLUMNS."""
    core = core_in(comfyui)
    commit = commit_of(core.folder)
    return [
        f"{core.version} ({commit})" if commit else core.version,
        version_of("comfyui-frontend-package"),
        version_of("torch"),
        platform.python_version(),
        version_of("av"),
        tally.date,
        our_commit(),
        str(tally.passed),
        str(len(tally.failed)),
        str(tally.skipped.total()),
    ]


def title_of(row: list[str]) -> str:
    """What a host is called: its ComfyUI's release and the Python's, without their last places."""
    return f"ComfyUI {row[0].split()[0]}, Python {'.'.join(row[3].split('.')[:2])}"


def not_run(tally: Tally, tests: Path) -> list[str]:
    """The folders of `tests` of whose modules some were not run, with how many."""
    modules = {
        path: ".".join(path.relative_to(tests.parent).with_suffix("").parts)
        for path in tests.rglob("test_*.py")
    }
    missing = Counter(
        path.parent.relative_to(tests.parent).as_posix()
        for path, name in modules.items()
        if name not in tally.modules
    )
    return [f"- not run: {count} modules of {folder}" for folder, count in sorted(missing.items())]


def section_of(tally: Tally) -> str:
    """Which tests failed and were skipped, and why."""
    failed = [f"- failed: `{name}`: {reason}" for name, reason in sorted(tally.failed.items())]
    skipped = [f"- {count} skipped: {reason}" for reason, count in sorted(tally.skipped.items())]
    return "\n".join([*failed, *skipped] or ["- all passed"])


def read_page(text: str) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The rows and the sections of the page as it stands, each by its host's title."""
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"
    ]
    rows = {title_of(row): row for row in cells[2:]}
    parts = text.split("\n## ")[1:]
    return rows, {part.split("\n", 1)[0]: part.split("\n", 1)[1].strip() for part in parts}


def page_of(rows: Iterable[list[str]], sections: dict[str, str]) -> str:
    """The page's text: rows and sections, ordered by release."""
    ordered = sorted(rows, key=lambda row: [int(part) for part in re.findall(r"\d+", title_of(row))])
    table = [COLUMNS, ["---"] * len(COLUMNS), *ordered]
    lines = "\n".join(f"| {' | '.join(row)} |" for row in table)
    return "\n".join(
        [INTRODUCTION, lines, *(f"\n## {title_of(row)}\n\n{sections[title_of(row)]}" for row in ordered), ""]
    )


def updated(text: str, row: list[str], section: str) -> str:
    """The page with a host's row and section in place of those it had."""
    rows, sections = read_page(text)
    rows[title_of(row)], sections[title_of(row)] = row, section
    return page_of(rows.values(), sections)


def main(arguments: list[str]) -> int:
    """Write the row; the exit code is 1 if a test failed or nothing was reported."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--comfyui", type=Path, required=True, help="the ComfyUI that the tests ran in")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to write (docs/hosts.md)")
    parser.add_argument("--tests", type=Path, default=ROOT / "tests", help="where the suite is")
    parser.add_argument("reports", type=Path, nargs="+", help="what `pytest --junitxml FILE` wrote")
    chosen = parser.parse_args(arguments)
    tally = Tally()
    try:
        for report in chosen.reports:
            tally.add(report)
        row = row_of(chosen.comfyui, tally)
    except (OSError, ElementTree.ParseError) as error:
        print(f"matrix: {error}; the suite did not come to its end: run it again", file=sys.stderr)
        return 1
    except SetupError as error:
        print(f"matrix: {error}", file=sys.stderr)
        return 1
    text = chosen.page.read_text(encoding="utf-8") if chosen.page.is_file() else ""
    section = "\n".join([*not_run(tally, chosen.tests), section_of(tally)])
    chosen.page.write_text(updated(text, row, section), encoding="utf-8")
    passed, failed, skipped = row[-3:]
    print(f"matrix: {title_of(row)}: {passed} passed, {failed} failed, {skipped} skipped -> {chosen.page}")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
