"""Each blueprint in the real editor: offered by the server, one node, whose fields reach the nodes inside."""

import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from comfy_server import ComfyServer
from editor_page import Editor
from editors import NEWEST, OWN, each_editor
from kill_runs import write_speech
from server_run import frames_of
from tiny_workflows import tiny_of

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


LINE_JS = """async (estimate) => {
  const { lineOf } = await import('/extensions/EverTalk/estimate.js')
  return lineOf(estimate)
}"""


@each_editor(OWN)
def test_estimate_of_a_region_says_the_video_s_size_and_its_own(editor: Editor) -> None:
    told = {"seconds": 4, "frames": 100, "windows": 2, "width": 1920, "height": 1080}
    line = "4.0 s of audio -> 100 frames, 2 windows, 1920x1080"
    region = {"region_width": 640, "region_height": 480}
    assert editor.page.evaluate(LINE_JS, told) == line
    assert editor.page.evaluate(LINE_JS, told | region) == f"{line}; the region is made at 640x480"
    assert editor.page.evaluate(LINE_JS, region) == ""


WORKFLOWS = {
    "EverTalk Talking picture": "infinitetalk_image",
    "EverTalk Two people": "infinitetalk_two_people",
    "EverTalk Dub a clip": "infinitetalk_dub_video",
    "EverTalk Lips for a clip": "lips_for_any_clip",
}

SOUND_S = 0.68
MEDIA = {
    "IMAGE": ("LoadImage", "portrait.jpg"),
    "VIDEO": ("LoadVideo", "clip.mp4"),
    "AUDIO": ("LoadAudio", ""),
}
"""What loads each kind, and a file of the server's input folder."""

MADE = {
    "EverTalk Talking picture": (17, 64, 64),
    "EverTalk Two people": (34, 64, 64),
    "EverTalk Dub a clip": (17, 64, 64),
    "EverTalk Lips for a clip": (21, 256, 256),
}
"""Frames, height and width of the videos: two people speak in turn, and the clip has 30 frames a second."""


def with_media(graph: dict[str, Any], sound: str) -> dict[str, Any]:
    """A blueprint in the editor's format, with nodes that load media on its sockets."""
    (node,) = graph["nodes"]
    for slot, socket in enumerate(node["inputs"]):
        if "widget" in socket:
            continue
        kind, file = MEDIA[socket["type"]]
        socket["link"] = number = slot + 1
        loader = {"id": number + 1, "type": kind, "pos": [-400, 200 * slot], "size": [300, 150]}
        loader |= {"flags": {}, "order": 0, "mode": 0, "inputs": [], "properties": {}}
        loader |= {"outputs": [{"name": socket["type"], "type": socket["type"], "links": [number]}]}
        graph["nodes"].append({**loader, "widgets_values": [file or sound]})
        graph["links"].append([number, number + 1, 0, node["id"], slot, socket["type"]])
    count = len(graph["nodes"])
    return {**graph, "last_node_id": count, "last_link_id": count - 1}


@each_editor(OWN)
@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_blueprint_runs_to_a_video(editor: Editor, server: ComfyServer, file: Path) -> None:
    write_speech(server, SOUND_S)
    sound = f"speech_{SOUND_S:g}.wav"
    graph = with_media(json.loads(file.read_text(encoding="utf-8")), sound)
    editor.clear()
    editor.load(graph)
    editor.wait(f"window.app.graph.nodes.length === {len(graph['nodes'])}")
    prompt = editor.page.evaluate("async () => (await window.app.graphToPrompt()).output")
    tiny = tiny_of(prompt, sound, filename_prefix=f"blueprints/{file.stem}")
    with ThreadPoolExecutor(1) as apart:  # Playwright's own loop runs in this thread
        outcome = apart.submit(server.client.run, tiny).result()
    (sampler,) = (node_id for node_id, node in tiny.items() if node["class_type"] == "EverTalkSampler")
    (summary,) = outcome.outputs[sampler]["evertalk"]
    assert frames_of(Path(summary["path"])).shape == (*MADE[file.stem], 3)
