"""The help that the editor shows for each node: in both languages, complete, and true to the messages."""

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from chinese import read_chinese
from comfy_server import LINK_NAME, ComfyServer

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "web" / "docs"
NODES: dict[str, dict[str, Any]] = json.loads((ROOT / "locales/en/nodeDefs.json").read_text(encoding="utf-8"))
MIN_SHARE = 0.7
"""Of the words of a quoted message, inputs' names aside, those that its template has; others vary."""

each_node = pytest.mark.parametrize("node", NODES)
each_page = pytest.mark.parametrize(
    "page", [page for node in NODES for page in (f"{node}.md", f"{node}/zh.md")]
)


def read(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def test_every_page_belongs_to_a_node_and_every_node_has_both() -> None:
    found = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    assert found == {page for node in NODES for page in (f"{node}.md", f"{node}/zh.md")}


@each_page
def test_page_names_every_input_and_output(page: str) -> None:
    node, text = NODES[page.removesuffix("/zh.md").removesuffix(".md")], read(page)
    names = [*node["inputs"], *(output["name"] for output in node["outputs"].values() if "name" in output)]
    assert [name for name in names if f"`{name}`" not in text] == []


@each_page
def test_page_names_every_choice_of_a_widget(page: str) -> None:
    node, text = NODES[page.removesuffix("/zh.md").removesuffix(".md")], read(page)
    for name, one in node["inputs"].items():
        for choice in one.get("options", {}):
            if choice not in {"none", "auto"}:
                assert f"`{choice}`" in text or f"`{choice} " in text, f"{name}: {choice}"


@each_node
def test_both_languages_have_the_same_headings_and_rows(node: str) -> None:
    english, chinese = read(f"{node}.md").splitlines(), read(f"{node}/zh.md").splitlines()
    for start in ("#", "- "):
        assert sum(line.startswith(start) for line in english) == sum(
            line.startswith(start) for line in chinese
        )
    assert english[0] == f"# {NODES[node]['display_name']}"
    assert chinese[0] == f"# {read_chinese().names[NODES[node]['display_name']]}"


@each_page
def test_quoted_messages_are_those_of_the_source(page: str) -> None:
    inputs = NODES[page.removesuffix("/zh.md").removesuffix(".md")]["inputs"].keys()
    quoted = re.findall(r"^- `+(.+?)`+(?:\uff08|\uff1a|: )", read(page).split("\n## ")[-1], re.MULTILINE)
    assert quoted
    templates = [words_of(template) for template in read_chinese().messages]
    for message in quoted:
        words = words_of(message) - inputs
        best = max(len(words & template) / len(words) for template in templates)
        assert best >= MIN_SHARE, f"{message}: no such message ({best:.0%} of its words)"


def words_of(text: str) -> set[str]:
    return set(re.findall(r"[a-z_]{2,}", text.lower()))


@pytest.mark.host
@each_page
def test_server_serves_the_page_where_the_editor_looks_for_it(page: str, comfy_server: ComfyServer) -> None:
    address = f"{comfy_server.client.address}/extensions/{LINK_NAME}/docs/{page}"
    with urllib.request.urlopen(address) as answer:
        assert answer.read().decode("utf-8") == read(page)
