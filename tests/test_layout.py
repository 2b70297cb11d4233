"""The structural rules of the repository: sizes of files and functions, who knows ComfyUI, no leftovers."""

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BELOW_NODES = ("multitalk", "wanvideo", "attention", "convert")
FOLDERS = ("nodes", *BELOW_NODES, "bench", "demo", "docs", "scripts", "cluster", "tests", "tools")
GENERATED = {"run", "__pycache__"}

MAX_FILE_LINES = 400
MAX_NODE_FILE_LINES = 149
MAX_FUNCTION_LINES = 60
HOST_MODULES = {
    "comfy",
    "comfy_api",
    "comfy_execution",
    "comfy_extras",
    "folder_paths",
    "latent_preview",
    "server",
}

# One letter of each word stands in brackets, so that this file does not find itself.
LEFTOVERS = re.compile(r"TOD[O]|FIXM[E]|XX[X]")
MACHINE_PATHS = re.compile(r"(?<![\w.:/])/(?:roo[t]|hom[e]|wor[k]|User[s])/|[A-Z]:\\User[s]")
TEXT_SUFFIXES = {".py", ".md", ".toml", ".txt", ".json", ".sh", ".yaml", ".yml", ".js", ".html", ".css"}


def files_below(folder: Path) -> Iterator[Path]:
    for parent, names, files in os.walk(folder):
        names[:] = [name for name in names if name not in GENERATED and not name.startswith(".")]
        yield from (Path(parent) / file for file in files)


def tracked_texts() -> list[Path]:
    tops = [*FOLDERS, "workflows", "web", "locales", "requirements"]
    below = [file for top in tops for file in files_below(ROOT / top)]
    files = [*below, *(file for file in ROOT.iterdir() if file.is_file()), ROOT / ".ci" / "run"]
    return sorted(file for file in files if file.suffix in TEXT_SUFFIXES or file.name in {"run", "Makefile"})


def python_files(*folders: str) -> list[Path]:
    below = [file for folder in folders for file in files_below(ROOT / folder)]
    return sorted(file for file in below if file.suffix == ".py")


def functions(file: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(file.read_text())
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def num_lines(file: Path) -> int:
    return len(file.read_text().splitlines())


def place(file: Path, line: int = 1) -> str:
    return f"{file.relative_to(ROOT)}:{line}"


def test_no_python_file_is_longer_than_400_lines() -> None:
    files = [*python_files(*FOLDERS), *ROOT.glob("*.py")]
    assert len(files) > 10, "the walk finds the repository"
    assert [place(file) for file in files if num_lines(file) > MAX_FILE_LINES] == []


def test_node_files_stay_thin() -> None:
    files = sorted((ROOT / "nodes").glob("*.py"))
    assert files
    assert [place(file) for file in files if num_lines(file) > MAX_NODE_FILE_LINES] == []


def test_no_function_is_longer_than_60_lines() -> None:
    long = [
        f"{place(file, function.lineno)} {function.name}"
        for file in [*python_files(*FOLDERS), *ROOT.glob("*.py")]
        for function in functions(file)
        if (function.end_lineno or 0) - function.lineno + 1 > MAX_FUNCTION_LINES
    ]
    assert long == []


def test_no_function_below_the_nodes_collects_keyword_arguments() -> None:
    files = python_files(*BELOW_NODES)
    assert files
    soup = [f"{place(file, f.lineno)} {f.name}" for file in files for f in functions(file) if f.args.kwarg]
    assert soup == []


@pytest.mark.parametrize("pattern", [LEFTOVERS, MACHINE_PATHS], ids=["leftovers", "machine paths"])
def test_no_text_holds(pattern: re.Pattern[str]) -> None:
    found = [
        f"{place(file, number)}: {line.strip()[:80]}"
        for file in tracked_texts()
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), start=1)
        if pattern.search(line)
    ]
    assert found == []


def imported_tops(file: Path) -> set[str]:
    tops: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            tops |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            tops.add(node.module.split(".")[0])
    return tops


def test_only_nodes_imports_comfyui() -> None:
    knowing = {place(file): imported_tops(file) & HOST_MODULES for file in python_files(*BELOW_NODES)}
    assert {file: names for file, names in knowing.items() if names} == {}
    assert any(imported_tops(file) & HOST_MODULES for file in python_files("nodes")), (
        "the check sees an import"
    )


def test_the_search_for_leftovers_and_machine_paths_finds_them() -> None:
    assert LEFTOVERS.search("# TO" + "DO later")
    assert MACHINE_PATHS.search("open('/ho" + "me/someone/model')")
    assert not MACHINE_PATHS.search("https://example.org/ho" + "me/page")


def test_no_part_of_comfyui_is_replaced_by_a_mock() -> None:
    mocking = [place(file) for file in python_files("tests") if "unittest.mock" in imported_modules(file)]
    assert mocking == []


def imported_modules(file: Path) -> set[str]:
    nodes = ast.walk(ast.parse(file.read_text()))
    return {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


def test_no_protocol_is_asked_with_isinstance() -> None:
    # From Python 3.12 on it does not see what objects hand out by `__getattr__`, as torch modules do with
    # their parts. The exception asks for a method that the host's VIDEO values have on their class.
    files = python_files("nodes", *BELOW_NODES)
    asking = [file for file in files if "runtime_checkable" in file.read_text(encoding="utf-8")]
    assert asking == [ROOT / "multitalk" / "media" / "result.py"]
