"""Every command that README gives is run here or by the test named beside it; its files exist."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README.zh.md").read_text(encoding="utf-8")
MAX_LINES = 120
FENCE = re.compile(r"```[a-z]*\n(.*?)```", re.DOTALL)
INLINE = re.compile(r"`((?:[A-Z_]+=\S+ )*(?:make|python|git|pip)\b[^`]*)`")


def fenced(page: str) -> list[str]:
    """The lines of its blocks, without what a `#` says about them."""
    return [line.partition(" #")[0].strip() for block in FENCE.findall(page) for line in block.splitlines()]


def commands() -> list[str]:
    """The commands of README, without what a `#` says about them."""
    return sorted({line for line in [*fenced(README), *INLINE.findall(README)] if line})


def dry(command: str) -> None:
    """A make target is there, and what it would run can be written down; nothing is run."""
    words = shlex.split(command)
    settings = [word for word in words if "=" in word and not word.startswith("-")]
    targets = [word for word in words if word not in settings][1:]
    done = subprocess.run(
        ["make", "--dry-run", *targets, *settings], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() or not targets


def help_of_make(_command: str) -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "make demo" in done.stdout


def installed(_command: str) -> None:
    """What `pip install -r requirements.txt` asks for can be read by pip, and is fulfilled here."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--no-deps",
        "--no-index",
        "-r",
        "requirements.txt",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Would install" not in done.stdout


def elsewhere(test: str) -> Callable[[str], None]:
    """Another test runs it."""

    def stands(_command: str) -> None:
        file, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), f"{test} is gone"

    return stands


CHECKS: dict[str, list[Callable[[str], None]]] = {
    "make": [help_of_make],
    "make demo": [
        dry,
        elsewhere("tests/demo/test_run.py::test_make_demo_makes_a_video_as_long_as_the_speech"),
    ],
    "make test": [dry],
    "pip install gguf": [
        elsewhere("tests/nodes/test_files.py::test_gguf_without_its_package_says_what_to_install")
    ],
    "python -m pip install -r custom_nodes/EverTalk/requirements.txt": [installed],
    "python tools/convert_wrapper.py old.json --output new.json": [
        elsewhere("tests/convert/test_route_and_tool.py::test_tool_writes_the_workflow_and_lists_the_losses")
    ],
}
"""Commands that need more than that make knows them."""


def test_readme_has_the_commands_that_are_known_here() -> None:
    assert set(CHECKS) <= set(commands())


@pytest.mark.parametrize("command", commands())
def test_command_works(command: str) -> None:
    checks = CHECKS.get(command)
    if checks is None:
        assert "make" in shlex.split(command), f"{command}: add a test of it to CHECKS"
        checks = [dry]
    for check in checks:
        check(command)


def test_readme_is_short() -> None:
    """What a newcomer reads; the rest is in docs/."""
    assert max(len(page.splitlines()) for page in (README, CHINESE)) < MAX_LINES


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_node_is_named_in_the_reference(language: str) -> None:
    page = ROOT / "docs" / ("reference.md" if language == "en" else f"reference.{language}.md")
    text = page.read_text(encoding="utf-8")
    nodes = json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))
    assert [name for one in nodes.values() if f"**{(name := one['display_name'])}**" not in text] == []


GENERATED = "docs/hosts.md"
"""Written by runs of the suite: numbers, and the tests' own names and reasons, which are English."""


def links_of(page: str) -> list[str]:
    return re.findall(r"\]\(([^)#:]+)\)", page)


@pytest.mark.parametrize("page", [README, CHINESE], ids=["en", "zh"])
def test_pictures_and_files_that_readme_names_are_there(page: str) -> None:
    assert links_of(page)
    paths = re.findall(r"`((?:workflows|demo|docs|bench|tools)/[\w./-]+)`", page)
    made = ("demo/run",)
    assert [one for one in (*links_of(page), *paths) if not (ROOT / one).exists() and one not in made] == []


def test_chinese_readme_has_all_sections_tables_and_links_and_chinese_pages_of_docs() -> None:
    def shape(page: str) -> list[str]:
        return re.findall(r"^(?:#+ |\||- |\d\. |!\[)", page, re.MULTILINE)

    def in_chinese(link: str) -> str:
        is_page = link.startswith("docs/") and link.endswith(".md") and link.count("/") == 1
        is_page = is_page and link != GENERATED
        return link.removesuffix(".md") + ".zh.md" if is_page else link

    assert shape(CHINESE) == shape(README)
    assert links_of(CHINESE)[1:] == [in_chinese(link) for link in links_of(README)[1:]]
    assert [line for line in fenced(CHINESE) if line not in fenced(README)] == []


def test_no_folder_takes_the_place_of_the_templates() -> None:
    """The host serves templates from the first of these that is there, and lists those of all."""
    names = ("example_workflows", "example", "examples", "workflow", "workflows")
    assert [name for name in names if (ROOT / name).exists()] == ["workflows"]


def test_pages_in_docs_have_a_sister_of_the_same_shape() -> None:
    pages = [page for page in (ROOT / "docs").glob("*.md") if not page.name.endswith(".zh.md")]
    pages.remove(ROOT / GENERATED)
    assert pages
    for page in pages:
        english = page.read_text(encoding="utf-8")
        chinese = page.with_suffix(".zh.md").read_text(encoding="utf-8")
        assert links_of(chinese)[1:] == links_of(english)[1:]
        assert chinese.count("\n|") == english.count("\n|")
