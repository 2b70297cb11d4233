"""What the registry and other machines need of the pack: metadata, plain sources, any folder name."""

import ast
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from comfy_server import ComfyServer

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ("nodes", "multitalk", "wanvideo", "attention", "convert")
TEXT_SUFFIXES = {".py", ".md", ".json", ".js", ".css", ".toml", ".txt"}
FORBIDDEN_ON_WINDOWS = re.compile(r'[<>:"|?*\\]|[. ]$')
RESERVED_ON_WINDOWS = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10)),
}
LONGEST_PATH = 120
"""Below ComfyUI's custom_nodes: Windows has 260 for the whole path."""

REGISTRY_RULES = "S102,S307,E702"
"""What `comfy node validate` asks of ruff: no exec, no eval, no two statements on a line."""


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / line for line in done.stdout.splitlines()]


def metadata() -> dict[str, Any]:
    import tomllib

    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def calls(tree: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def test_registry_metadata_is_complete() -> None:
    project, comfy = metadata()["project"], metadata()["tool"]["comfy"]
    assert re.fullmatch(r"[a-z][a-z0-9-]*", project["name"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", project["version"])
    assert project["license"] == {"file": "LICENSE"}
    assert (ROOT / "LICENSE").is_file()
    assert {"PublisherId", "DisplayName", "Icon", "requires-comfyui", "includes"} <= set(comfy)
    assert comfy["requires-comfyui"] == ">=0.3.75"


def test_icon_is_a_square_of_400() -> None:
    icon = ROOT / "docs" / "icon.svg"
    picture = ET.parse(icon).getroot()
    assert (picture.get("width"), picture.get("height"), picture.get("viewBox")) == (
        "400",
        "400",
        "0 0 400 400",
    )
    assert metadata()["tool"]["comfy"]["Icon"].endswith("docs/icon.svg")


def test_version_of_the_project_is_in_the_changelog_or_unreleased() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## Unreleased" in changelog or f"## {metadata()['project']['version']}" in changelog


def test_requirements_are_the_projects_dependencies() -> None:
    def name(line: str) -> str:
        return re.split(r"[<>=!\[ ]", line, maxsplit=1)[0].lower()

    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    required = {name(line) for line in lines if line and not line.startswith("#")}
    assert required | {"torch"} == {name(one) for one in metadata()["project"]["dependencies"]}


def test_security_rules_of_the_registry_hold() -> None:
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", REGISTRY_RULES, "."]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def ignored_lines() -> list[str]:
    lines = (ROOT / ".comfyignore").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_what_users_do_not_need_is_not_published_and_what_they_need_is() -> None:
    ignored = {line.strip("/") for line in ignored_lines()}
    assert {"tests", "bench", "cluster", ".ci"} <= ignored
    assert not ignored & {
        *SHIPPED,
        "web",
        "locales",
        "workflows",
        "tools",
        "demo",
        "docs",
        "scripts",
        "requirements",
    }
    assert [name for name in ignored if "*" not in name and not (ROOT / name).exists()] == []


@pytest.mark.parametrize("folder", SHIPPED)
def test_files_are_opened_with_their_encoding(folder: str) -> None:
    """Windows would take CP1252 otherwise."""
    silent: list[str] = []
    for file in (ROOT / folder).rglob("*.py"):
        for call in calls(ast.parse(file.read_text(encoding="utf-8"))):
            method = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            owner = getattr(getattr(call.func, "value", None), "id", "")
            if method not in {"open", "read_text", "write_text"} or owner in {"av", "os"}:
                continue
            names = {keyword.arg for keyword in call.keywords}
            words = [str(value.value) for value in call.args if isinstance(value, ast.Constant)]
            is_binary = any(set(word) <= set("rwxab+") and "b" in word for word in words)
            has_mode = any(set(word) <= set("rwxa+t") and word for word in words)
            opens_text = method != "open" or (not is_binary and (has_mode or isinstance(call.func, ast.Name)))
            if opens_text and "encoding" not in names:
                silent.append(f"{file.relative_to(ROOT)}:{call.lineno}")
    assert silent == []


def test_texts_are_utf_8_and_python_files_hold_what_cp1252_has() -> None:
    for file in tracked():
        if file.suffix in TEXT_SUFFIXES and file.is_file():
            text = file.read_text(encoding="utf-8")
            if file.suffix == ".py":
                text.encode("cp1252")


def test_file_names_are_possible_on_windows() -> None:
    names = [file.relative_to(ROOT) for file in tracked()]
    assert len({str(name).lower() for name in names}) == len(names), "no two differ in case alone"
    for name in names:
        assert len(str(name)) <= LONGEST_PATH, name
        for part in name.parts:
            assert not FORBIDDEN_ON_WINDOWS.search(part), name
            assert part.split(".")[0].lower() not in RESERVED_ON_WINDOWS, name


@pytest.mark.host
def test_every_node_loads_whatever_the_folder_is_called(
    comfyui: Path, tmp_path: Path, comfy_server: ComfyServer
) -> None:
    usual = {name for name in comfy_server.client.object_info() if name.startswith("EverTalk")}
    with ComfyServer(comfyui, tmp_path, pack_name="ComfyUI-Ever Talk.v2 (copy)") as server:
        loaded = {name for name in server.client.object_info() if name.startswith("EverTalk")}
        assert "IMPORT FAILED" not in server.log
    assert loaded == usual
    assert usual
