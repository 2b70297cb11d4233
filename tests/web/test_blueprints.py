"""Each blueprint in the real editor: offered by the server, one node, whose fields reach the nodes inside."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from comfy_server import ComfyServer
from editor_page import Editor
from editors import NEWEST, OWN, each_editor

pytestmark = [pytest.mark.host, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "subgraphs").glob("*.json"))
PROMPT_JS = """async (words) => {
  const [node] = window.app.graph.nodes
  const widget = node.widgets.find((one) => one.name === 'text')
  widget.value = words
  widget.callback?.(words)
  return (await window.app.graphToPrompt()).output
}"""


def test_server_offers_them(own_server: ComfyServer) -> None:
    with urllib.request.urlopen(f"{own_server.client.address}/global_subgraphs") as answer:
        offered = json.load(answer)
    ours = {one["name"] for one in offered.values() if "evertalk" in one["info"]["node_pack"].lower()}
    assert ours >= {file.stem for file in FILES}


@each_editor(OWN, NEWEST)
@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_blueprint_is_one_node_whose_fields_act_inside(editor: Editor, file: Path) -> None:
    graph = json.loads(file.read_text(encoding="utf-8"))
    editor.errors.clear()
    editor.clear()
    editor.load(graph)
    editor.wait("window.app.graph.nodes.length === 1 && window.app.graph.nodes[0].widgets?.length >= 5")
    output: dict[str, Any] = editor.page.evaluate(PROMPT_JS, "he sings")
    made = {one["class_type"]: one["inputs"] for one in output.values()}
    twin = json.loads(
        (ROOT / "workflows" / "api" / f"{WORKFLOWS[file.stem]}.api.json").read_text(encoding="utf-8")
    )
    then = {one["class_type"]: one["inputs"] for one in twin.values()}
    assert made["CLIPTextEncode"]["text"] == "he sings"
    for kind in ("EverTalkSampler", "EverTalkModelLoader", "EverTalkDecode"):
        values = {name: value for name, value in then[kind].items() if not isinstance(value, list)}
        assert {name: made[kind][name] for name in values} == values
    assert editor.errors == []


WORKFLOWS = {
    "EverTalk Talking picture": "infinitetalk_image",
    "EverTalk Two people": "infinitetalk_two_people",
    "EverTalk Dub a clip": "infinitetalk_dub_video",
}
