"""Every setting of WanVideoWrapper's nodes changes the new workflow or what is said about it."""

from typing import Any

import pytest
from convert_server import read
from evertalk_pack.convert.conversion import Conversion, convert
from evertalk_pack.convert.settings import DEFAULTS, NEEDLESS, UNTOUCHED

pytestmark = pytest.mark.host

BASES = ("two_people_masks.api", "gguf.api", "lora_multi.api", "cached_text.api", "silent.api")
WRAPPERS = ("WanVideo", "MultiTalk", "Wav2Vec")
HARMLESS = {"device", "force_offload", "load_device", "use_disk_cache", "precision"}
"""Of these no usual value says anything about the result."""

OFF = {"strength_2", "lora_3", "strength_4"}
"""Of rows of the LoRA stack that are switched off."""

OTHERS = {"denoise_strength": 0.5, "quantization": "fp8_e5m2"}
"""Other values where any would not do."""


def settings() -> list[Any]:
    found: dict[tuple[str, str], Any] = {}
    for name in BASES:
        graph = read(name)
        for node_id, node in graph.get("prompt", graph).items():
            if any(mark in node["class_type"] for mark in WRAPPERS):
                for field, value in node["inputs"].items():
                    if not isinstance(value, list) and field not in OFF:
                        key = (node["class_type"], field)
                        if key == ("WanVideoTextEncodeCached", "quantization"):  # its file is fp8 already
                            continue
                        found.setdefault(key, pytest.param(name, node_id, field, id=".".join(key)))
    return list(found.values())


def changed(value: object) -> object:
    if isinstance(value, bool):
        return not value
    return value * 2 + 7 if isinstance(value, int | float) else f"{value} another"


@pytest.mark.parametrize(("name", "node_id", "field"), settings())
def test_change_of_a_setting_is_seen(
    name: str, node_id: str, field: str, object_info: dict[str, Any]
) -> None:
    before = convert(read(name), object_info)
    graph = read(name)
    inputs = graph.get("prompt", graph)[node_id]["inputs"]
    inputs[field] = OTHERS.get(field, changed(inputs[field]))
    after: Conversion = convert(graph, object_info)
    is_seen = (after.workflow, after.remarks) != (before.workflow, before.remarks)
    assert is_seen or (field in HARMLESS and inputs[field] in UNTOUCHED.get(field, ()))


def test_needless_settings_have_values_that_nobody_is_bothered_about() -> None:
    assert set(UNTOUCHED) <= set(NEEDLESS)
    assert not set(DEFAULTS) & set(NEEDLESS)
