"""The whole pack in ComfyUI: it loads as a user's does, quickly and silently, and offers every node."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from comfy_server import ComfyServer

pytestmark = pytest.mark.host

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
MAX_IMPORT_S = 2.0
IMPORT_TIME_LINE = re.compile(r"(\[INFO\])?\s*\d+\.\d+ seconds: .*")
COLOUR = re.compile(r"\x1b\[\d*m")


@dataclass(frozen=True)
class Probe:
    loaded: bool
    import_s: float
    kernel_packages: list[str]
    registered: list[str]
    declared: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def probe(comfyui: Path) -> Probe:
    command = [sys.executable, str(TESTS / "support" / "import_probe.py"), str(comfyui), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Probe(**json.loads(done.stdout.splitlines()[-1]))


def test_comfyui_loads_the_pack(probe: Probe) -> None:
    assert probe.loaded


def test_every_node_that_is_written_is_registered(probe: Probe) -> None:
    assert probe.registered == sorted(probe.declared)
    assert probe.registered


def test_node_ids_and_categories_carry_the_packs_name(probe: Probe) -> None:
    assert [node_id for node_id in probe.declared if not node_id.startswith("EverTalk")] == []
    assert {str(node["category"]).split("/")[0] for node in probe.declared.values()} == {"EverTalk"}


def test_every_input_has_a_tooltip(probe: Probe) -> None:
    silent = {node_id: node["inputs_without_tooltip"] for node_id, node in probe.declared.items()}
    assert {node_id: inputs for node_id, inputs in silent.items() if inputs} == {}


def test_importing_the_pack_costs_under_two_seconds(probe: Probe) -> None:
    assert probe.import_s < MAX_IMPORT_S


def test_importing_the_pack_loads_no_kernel_package(probe: Probe) -> None:
    assert probe.kernel_packages == []


def test_object_info_lists_every_node(probe: Probe, comfy_server: ComfyServer) -> None:
    listed = comfy_server.client.object_info()
    assert sorted(node_id for node_id in listed if node_id.startswith("EverTalk")) == sorted(probe.declared)


def test_every_node_has_words_to_be_found_by(probe: Probe, comfy_server: ComfyServer) -> None:
    words = json.loads((ROOT / "locales" / "search_words.json").read_text(encoding="utf-8"))
    assert sorted(words) == sorted(probe.declared)
    assert [node_id for node_id, given in words.items() if len(set(given)) < len(given) or not given] == []
    listed = comfy_server.client.object_info()
    if "search_aliases" in listed["KSampler"]:  # not in ComfyUI 0.3.75
        assert {node_id: listed[node_id]["search_aliases"] for node_id in words} == words


def test_server_says_nothing_about_the_pack_at_its_start_but_the_import_time(
    comfy_server: ComfyServer,
) -> None:
    start, started, _ = comfy_server.log.partition("To see the GUI go to")
    assert started
    plain = COLOUR.sub("", start)
    lines = plain.replace(str(comfy_server.base), "").replace(str(ROOT), "").splitlines()
    about_us = [line for line in lines if "evertalk" in line.lower()]
    assert about_us, "the server lists the pack's import time"
    assert [line for line in about_us if not IMPORT_TIME_LINE.fullmatch(line) or "FAILED" in line] == []
