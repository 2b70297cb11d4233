"""docs/hosts.md is written by runs of the suite."""

import platform
from pathlib import Path

import pytest
from evertalk_pack.scripts import host_matrix

SLOW = '<skipped message="a minute long: make quality"/>'
REPORT = f"""<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest" timestamp="2026-11-29T01:02:03.4+00:00">
<testcase classname="tests.a.test_one" name="test_good"/>
<testcase classname="tests.a.test_one" name="test_bad[x|y]">
<failure message="assert 1 == 2&#10;more">text</failure></testcase>
<testcase classname="tests.b.test_two" name="test_broken">
<error message="in /some/where/deep/file.py: gone"/></testcase>
<testcase classname="tests.b.test_two" name="test_slow_1">{SLOW}</testcase>
<testcase classname="tests.b.test_two" name="test_slow_2">{SLOW}</testcase>
</testsuite></testsuites>
"""


def core(folder: Path, version: str) -> Path:
    folder.mkdir()
    for name, text in (
        ("main.py", ""),
        ("requirements.txt", ""),
        ("comfyui_version.py", f'__version__ = "{version}"\n'),
    ):
        (folder / name).write_text(text)
    return folder


def write(
    tmp_path: Path, version: str, report: str = REPORT, others: tuple[str, ...] = ()
) -> tuple[int, str]:
    """The exit code and the page after a run on one more host."""
    (tmp_path / "report.xml").write_text(report)
    folder = tmp_path / version
    comfyui = folder if folder.exists() else core(folder, version)
    page = tmp_path / "hosts.md"
    tests = tmp_path / "tests"
    for name in ("a/test_one.py", "b/test_two.py", *others):
        (tests / name).parent.mkdir(parents=True, exist_ok=True)
        (tests / name).touch()
    arguments = ["--comfyui", str(comfyui), "--page", str(page), "--tests", str(tests)]
    code = host_matrix.main([*arguments, str(tmp_path / "report.xml")])
    return code, page.read_text()


def test_what_was_not_run_is_named(tmp_path: Path) -> None:
    _, page = write(tmp_path, "0.33.0", others=("web/test_three.py", "web/test_four.py"))
    assert "\n- not run: 2 modules of tests/web\n- failed: `a.test_one" in page


def test_a_run_writes_its_row_and_the_reasons(tmp_path: Path) -> None:
    code, page = write(tmp_path, "0.33.0")
    assert code == 1, "tests failed"
    (row,) = [line for line in page.splitlines() if line.startswith("| 0.33.0")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert len(cells) == len(host_matrix.COLUMNS)
    assert cells[3] == platform.python_version()
    assert cells[5] == "2026-11-29"
    assert cells[-3:] == ["1", "2", "2"]
    title = f"## ComfyUI 0.33.0, Python {'.'.join(platform.python_version_tuple()[:2])}"
    assert page.split(title)[1].strip().splitlines() == [
        "- failed: `a.test_one::test_bad[x|y]`: assert 1 == 2",
        "- failed: `b.test_two::test_broken`: in file.py: gone",
        "- 2 skipped: a minute long: make quality",
    ]


def test_a_later_run_replaces_its_own_row_alone_and_rows_are_in_order(tmp_path: Path) -> None:
    for version in ("0.33.0", "0.3.75", "0.8.0"):
        write(tmp_path, version)
    one_passed = REPORT.partition("<testcase")[0] + '<testcase name="n"/></testsuite></testsuites>'
    code, page = write(tmp_path, "0.8.0", one_passed)
    assert code == 0
    rows = [line for line in page.splitlines() if line.startswith("| 0.")]
    assert [row.split()[1] for row in rows] == ["0.3.75", "0.8.0", "0.33.0"]
    assert [row.split("|")[-4:-1] for row in rows] == [
        [" 1 ", " 2 ", " 2 "],
        [" 1 ", " 0 ", " 0 "],
        [" 1 ", " 2 ", " 2 "],
    ]
    assert page.count("## ComfyUI 0.8.0") == 1
    assert "- all passed" in page.split("## ComfyUI 0.8.0")[1].split("##")[0]


def test_reports_of_a_suite_in_pieces_are_added_up(tmp_path: Path) -> None:
    tally = host_matrix.Tally()
    for name in ("one.xml", "two.xml"):
        (tmp_path / name).write_text(REPORT)
        tally.add(tmp_path / name)
    assert (tally.passed, tally.skipped.total()) == (2, 4)


@pytest.mark.parametrize("report", ["", "<testsuites><testsuite"])
def test_a_run_that_was_cut_short_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], report: str
) -> None:
    (tmp_path / "report.xml").write_text(report)
    page = tmp_path / "hosts.md"
    comfyui = core(tmp_path / "ComfyUI", "0.33.0")
    arguments = ["--comfyui", str(comfyui), "--page", str(page), str(tmp_path / "report.xml")]
    assert host_matrix.main(arguments) == 1
    assert not page.exists()
    assert "did not come to its end" in capsys.readouterr().err


def test_the_page_in_the_repository_is_what_the_script_writes() -> None:
    text = host_matrix.PAGE.read_text(encoding="utf-8")
    rows, sections = host_matrix.read_page(text)
    assert rows.keys() == sections.keys()
    assert host_matrix.page_of(rows.values(), sections) == text
