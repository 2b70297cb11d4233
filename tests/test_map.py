"""The map of the repository is true: its paths and names exist, and its counts are right."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import tomllib

ROOT = Path(__file__).resolve().parent.parent
ARCHITECTURE, TESTS = "ARCHITECTURE.md", "tests/README.md"
PAGES = (ARCHITECTURE, "CONTRIBUTING.md", TESTS)
ROOMS = ("multitalk", "nodes/host")

MOST_PLAN_STOPS, MOST_SPEECH_FILES = 14, 20
"""What a stranger can follow; a longer way wants fewer layers, not a larger number here."""

FENCE = re.compile(r"```.*?```", re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#]+)\)")
WORD = re.compile(r"[\w.*/:-]+")
FILE_NAME = re.compile(r"[\w.-]+\.(?:py|md|js|json|toml|yaml|txt|sh|mjs)(?:::.*)?")
JOURNEY = re.compile(r"^### (.+): (\d+) stops in (\d+) files$", re.MULTILINE)
STOP = re.compile(r"^\d+\. `([^`]+)`", re.MULTILINE)
ROOT_NAMES = frozenset(path.name for path in ROOT.iterdir()) - {".cache", ".venv"}

each_page = pytest.mark.parametrize("page", PAGES)


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def places(text: str) -> list[str]:
    """Every `path` and `path::name` in a page: spans, links, and words of blocks that name files."""
    prose = FENCE.sub("", text)
    spans = [span for span in SPAN.findall(prose) if is_place(span)]
    links = [link for link in LINK.findall(prose) if ":" not in link]
    words = [word for block in FENCE.findall(text) for word in WORD.findall(block)]
    return [*spans, *links, *(word for word in words if is_place(word) and is_in_root(word))]


def is_place(span: str) -> bool:
    """Whether it is written like a path: with a slash inside, or as a file's name, and no spaces."""
    path = span.split("::", maxsplit=1)[0]
    has_slash = "/" in path and not path.startswith(("/", "http")) and ":" not in path
    return WORD.fullmatch(span) is not None and (has_slash or FILE_NAME.fullmatch(span) is not None)


def is_in_root(word: str) -> bool:
    return word.split("/", maxsplit=1)[0].split("::", maxsplit=1)[0] in ROOT_NAMES


def found(place: str, page: str) -> list[Path]:
    """The files or folders that a place's path names, seen from the page's folder or from the root."""
    path = place.split("::", maxsplit=1)[0].rstrip("/")
    return [match for base in {(ROOT / page).parent, ROOT} for match in sorted(base.glob(path))]


def missing_paths(text: str, page: str) -> list[str]:
    return [place for place in places(text) if not found(place, page)]


def missing_names(text: str, page: str) -> list[str]:
    named = [place for place in places(text) if "::" in place]
    return [place for place in named if not any(has_name(path, place) for path in found(place, page))]


def has_name(path: Path, place: str) -> bool:
    name = place.split("::")[1]
    return name in names_of(path) if path.suffix == ".py" else has_script_name(path, name)


@cache
def names_of(path: Path) -> frozenset[str]:
    """What a Python file defines: `function`, `Class`, `Class.method`, `CONSTANT`."""
    return frozenset(defined(ast.parse(path.read_text(encoding="utf-8")).body, ""))


def defined(body: list[ast.stmt], owner: str) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield owner + node.name
        if isinstance(node, ast.ClassDef):
            yield from defined(node.body, f"{node.name}.")
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        yield from (owner + target.id for target in targets if isinstance(target, ast.Name))


def has_script_name(path: Path, name: str) -> bool:
    """Whether a JavaScript file defines a function, class, constant or method of this name."""
    *_, last = name.split(".")
    pattern = rf"(?:function|class|const|let) {last}\b|^  (?:async )?{last}\("
    return re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE) is not None


def journeys(text: str) -> dict[str, tuple[int, int, list[str]]]:
    """Each journey with the stops and files that its heading counts, and its stops."""
    sections = re.split(r"^(?=##)", text, flags=re.MULTILINE)
    heads = ((JOURNEY.match(section), section) for section in sections)
    return {head[1]: (int(head[2]), int(head[3]), STOP.findall(section)) for head, section in heads if head}


@each_page
def test_every_path_in_the_map_exists(page: str) -> None:
    assert places(read(page)), "the page names files"
    assert missing_paths(read(page), page) == []


@each_page
def test_every_name_in_the_map_exists(page: str) -> None:
    assert missing_names(read(page), page) == []


def test_the_map_is_searched_for_what_is_not_there() -> None:
    text = "See `nodes/nowhere.py`, [it](docs/none.md) and `multitalk/windows/plan.py::Window.nobody`.\n"
    text += "```\npytest tests/test_none.py\n```\n`tests/test_*.py`, `/evertalk/pause`, `read.py::none`"
    expected = ["nodes/nowhere.py", "read.py::none", "docs/none.md", "tests/test_none.py"]
    assert missing_paths(text, ARCHITECTURE) == expected
    assert missing_names(text, ARCHITECTURE) == ["multitalk/windows/plan.py::Window.nobody", "read.py::none"]
    there = (
        "`multitalk/windows/plan.py::Window.end` `web/words.js::makeTranslator` `tests/test_map.py::PAGES`"
    )
    assert missing_names(there, ARCHITECTURE) == []
    assert missing_names("`web/words.js::nobody`", ARCHITECTURE) == ["web/words.js::nobody"]


def test_there_are_five_journeys_and_their_stops_are_counted_right() -> None:
    told = journeys(read(ARCHITECTURE))
    counts = {name: (stops, files) for name, (stops, files, _) in told.items()}
    counted = {
        name: (len(stops), len({stop.split("::")[0] for stop in stops}))
        for name, (_, _, stops) in told.items()
    }
    assert len(told) == 5
    assert counts == counted
    assert [stop for _, _, stops in told.values() for stop in stops if "::" not in stop] == []


@pytest.mark.parametrize("package", ROOMS)
def test_every_room_is_described_in_the_order_of_its_contract(package: str) -> None:
    text, contracts = read(ARCHITECTURE), tomllib.loads(read("pyproject.toml"))["tool"]["importlinter"]
    container = f"evertalk_pack.{package.replace('/', '.')}"
    (layers,) = (one["layers"] for one in contracts["contracts"] if one.get("containers") == [container])
    assert re.search(rf"^{package}/ +{' > '.join(layers)}$", text, re.MULTILINE)
    rooms = {file.parent.name for file in (ROOT / package).glob("*/__init__.py")}
    assert rooms == set(layers)
    assert [room for room in rooms if f"**`{package}/{room}/`**" not in text] == []


def layer_of(place: str) -> int:
    """How high the layer of a place is: `nodes/` itself is the highest, `attention/` the lowest."""
    contracts = tomllib.loads(read("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    rooms = {one["containers"][0]: one["layers"] for one in contracts if "containers" in one}
    order = [
        *(f"nodes/host/{room}/" for room in rooms["evertalk_pack.nodes.host"]),
        *(f"multitalk/{room}/" for room in rooms["evertalk_pack.multitalk"]),
        "wanvideo/",
        "attention/",
    ]
    return -next((index for index, room in enumerate(order) if place.startswith(room)), -1)


def test_the_plan_of_a_run_goes_down_through_the_layers_in_few_stops() -> None:
    (section,) = (
        part
        for part in re.split(r"^(?=## )", read(ARCHITECTURE), flags=re.MULTILINE)
        if part.startswith("## The plan of a run, top down\n")
    )
    stops = STOP.findall(section)
    layers = [layer_of(stop) for stop in stops]
    assert stops[0] == "nodes/sampler.py::EverTalkSampler.execute"
    assert "nodes/host/run/plan.py::plan_run" in stops
    assert len(stops) <= MOST_PLAN_STOPS
    assert layers == sorted(layers, reverse=True)
    assert (
        layer_of("nodes/sampler.py") > layer_of("nodes/host/run/plan.py") > layer_of("multitalk/runs/lock.py")
    )


def test_speech_passes_few_files() -> None:
    (files,) = (
        files for name, (_, files, _) in journeys(read(ARCHITECTURE)).items() if name.startswith("Speech,")
    )
    assert files <= MOST_SPEECH_FILES


def test_every_test_file_is_in_the_list_of_tests() -> None:
    named = [place for place in places(read(TESTS)) if "*" not in place]
    listed = {match for place in named for match in found(place, TESTS)}
    files = set((ROOT / "tests").rglob("test_*.py"))
    assert files, "the walk finds them"
    unlisted = sorted(file.relative_to(ROOT).as_posix() for file in files - listed)
    assert unlisted == [], f"add a line for each to {TESTS}: what it promises, and the file"
