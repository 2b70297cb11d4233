"""Writes the workflows that the editor opens, from their twins in API format.

    python scripts/make_workflows.py --comfyui /path/to/ComfyUI [--check]

`workflows/api/NAME.api.json` is written by hand and is what a program queues; `workflows/NAME.json` is made
from it with the node descriptions of a real server, so that the two never drift. So are the blueprints in
`subgraphs/`. ComfyUI lists every file in
`workflows/` as a template and its template browser opens the editor's format alone: hence the folder `api`.
"""

import argparse
import json
import sys
import tempfile
import uuid
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "demo"))  # the client and the server are the demo's
from app_mode import app_mode_of  # noqa: E402
from blueprints import BLUEPRINTS, blueprint_of  # noqa: E402
from chinese import read_chinese  # noqa: E402
from comfy_server import ComfyServer  # noqa: E402
from graph_layout import COLUMN_GAP, NodeShape, Place, bends_of_link, place_nodes  # noqa: E402
from model_files import MODEL_FILES  # noqa: E402
from node_fields import PLAYER, Input, JsonObject, is_link, read_inputs, widget_values  # noqa: E402
from workflow_notes import TITLE, note_of  # noqa: E402

WORKFLOWS = ROOT / "workflows"
SUBGRAPHS = ROOT / "subgraphs"
"""ComfyUI lists what a pack has here among the editor's subgraph blueprints."""

API_SUFFIX = ".api.json"

PREVIEWING_NODES = ("LoadImage", "LoadVideo", "PreviewImage", "EverTalkDecode")
NODES_WITH_STRIP = ("EverTalkSampler",)
"""Below their widgets the pack's extension shows a line."""

SCHEMA_VERSION = 0.4
NARROW, WITH_STRIP, CHARACTER, LABEL_ROOM = 280, 340, 6.4, 90
"""A node's width in the editor's pixels: at least; at least with a strip; for each letter of a widget; beside
the letters."""
NOTE, NOTE_WIDTH, NOTE_HEIGHT = "MarkdownNote", 420, 300
NOTE_COLOURS = {"color": "#432", "bgcolor": "#653"}
"""The editor's own, for notes."""
MODEL_SUFFIXES = (".safetensors", ".gguf")


def shape_of(node: JsonObject, description: JsonObject) -> NodeShape:
    """How much room a node takes in the editor."""
    inputs = read_inputs(description)
    values = widget_values(inputs, node["inputs"])
    texts = sum(one.is_text for one in inputs)
    lines = [
        f"{one.name}{node['inputs'].get(one.name)}" for one in inputs if one.is_widget and not one.is_text
    ]
    has_strip = node["class_type"] in NODES_WITH_STRIP
    narrowest = WITH_STRIP if has_strip else NARROW
    return NodeShape(
        num_inputs=sum(not one.is_widget for one in inputs),
        num_outputs=len(description["output"]),
        num_widgets=len(values) - texts,
        num_texts=texts,
        has_preview=node["class_type"] in PREVIEWING_NODES,
        has_player=any(PLAYER in one.options for one in inputs),
        has_strip=has_strip,
        width=max([narrowest, *(round(CHARACTER * len(line)) + LABEL_ROOM for line in lines)]),
    )


def own_title(node: JsonObject, description: JsonObject) -> JsonObject:
    """A node's title, unless it is its usual name: that one the editor says in the user's language."""
    title = node["_meta"]["title"]
    return {} if title == description["display_name"] else {"title": title}


def model_names(node: JsonObject) -> list[str]:
    """The model files that a node's fields name."""
    values = node["inputs"].values()
    texts = [value for value in values if isinstance(value, str)]
    return [text for text in texts if text.endswith(MODEL_SUFFIXES) or text in MODEL_FILES]


def model_links(node: JsonObject) -> JsonObject:
    """What a node's properties say of its files: the editor offers those that are missing for download."""
    files = [MODEL_FILES[name] for name in model_names(node) if name in MODEL_FILES]
    links = [
        {"name": file.name, "url": file.url, "directory": file.folder}
        for file in files
        if not file.is_repository
    ]
    return {"models": links} if links else {}


class GraphBuilder:
    """Turns one workflow in API format into the editor's format."""

    def __init__(self, workflow: JsonObject, descriptions: JsonObject) -> None:
        self._workflow = workflow
        self._descriptions = descriptions
        self._links: list[list[Any]] = []

    def build(self, name: str, note: str) -> JsonObject:
        """The editor's JSON, a note beside its nodes; the same for the same workflow and descriptions."""
        sources = {
            node_id: [
                node["inputs"][one.name][0]
                for one in self._inputs(node)
                if is_link(node["inputs"].get(one.name))
            ]
            for node_id, node in self._workflow.items()
        }
        shapes = {
            node_id: shape_of(node, self._descriptions[node["class_type"]])
            for node_id, node in self._workflow.items()
        }
        places = place_nodes(shapes, sources)
        nodes = [self._node(node_id, places[node_id]) for node_id in self._workflow]
        nodes.append(self._note(note, places.values()))
        for node in nodes:
            for slot, output in enumerate(node["outputs"]):
                output["links"] = [link[0] for link in self._links if link[1:3] == [node["id"], slot]] or None
        return {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"evertalk/{name}")),
            "revision": 0,
            "last_node_id": max(node["id"] for node in nodes),
            "last_link_id": len(self._links),
            "nodes": nodes,
            "links": self._links,
            "groups": [],
            "config": {},
            "extra": {**self._bends(places), "linearData": app_mode_of(self._workflow)},
            "version": SCHEMA_VERSION,
        }

    def _bends(self, places: Mapping[str, Place]) -> JsonObject:
        """The editor's records of the corners that long links are drawn through."""
        corners: list[JsonObject] = []
        ends: list[JsonObject] = []
        for link, source, slot, target, target_slot, _ in self._links:
            start, end = places[str(source)], places[str(target)]
            bends = bends_of_link(start, slot, end, target_slot, places.values())
            for order, point in enumerate(bends):
                corner: JsonObject = {"id": len(corners) + 1, "pos": list(point), "linkIds": [link]}
                corners.append({**corner, "parentId": len(corners)} if order else corner)
            ends += [{"id": link, "parentId": len(corners)}] if bends else []
        return {"reroutes": corners, "linkExtensions": ends} if corners else {}

    def _inputs(self, node: JsonObject) -> list[Input]:
        return read_inputs(self._descriptions[node["class_type"]])

    def _node(self, node_id: str, place: Place) -> JsonObject:
        node = self._workflow[node_id]
        description = self._descriptions[node["class_type"]]
        inputs = self._inputs(node)
        return {
            "id": int(node_id),
            "type": node["class_type"],
            "pos": [place.x, place.y],
            "size": [place.width, place.height],
            "flags": {},
            "order": list(self._workflow).index(node_id),
            "mode": 0,
            **own_title(node, description),
            "inputs": [self._socket(node_id, slot, one) for slot, one in enumerate(inputs)],
            "outputs": [
                {"name": name, "type": kind}
                for name, kind in zip(description["output_name"], description["output"], strict=True)
            ],
            "properties": {"Node name for S&R": node["class_type"], **model_links(node)},
            "widgets_values": widget_values(inputs, node["inputs"]),
        }

    def _note(self, text: str, places: Collection[Place]) -> JsonObject:
        """The note, on the left of all nodes."""
        left, top = min(place.x for place in places), min(place.y for place in places)
        return {
            "id": max(int(node_id) for node_id in self._workflow) + 1,
            "type": NOTE,
            "pos": [left - COLUMN_GAP - NOTE_WIDTH, top],
            "size": [NOTE_WIDTH, NOTE_HEIGHT],
            "flags": {},
            "order": len(self._workflow),
            "mode": 0,
            "title": TITLE,
            "inputs": [],
            "outputs": [],
            "properties": {},
            "widgets_values": [text],
            **NOTE_COLOURS,
        }

    def _socket(self, node_id: str, slot: int, one: Input) -> JsonObject:
        value = self._workflow[node_id]["inputs"].get(one.name)
        socket: JsonObject = {"name": one.name, "type": one.kind, "link": None}
        if one.is_optional:
            socket["shape"] = 7  # the editor draws an optional socket as a circle
        if one.is_widget:
            socket["widget"] = {"name": one.name}
        if is_link(value):
            source, source_slot = value
            socket["link"] = len(self._links) + 1
            self._links.append(
                [
                    socket["link"],
                    int(source),
                    source_slot,
                    int(node_id),
                    slot,
                    self._kind(source, source_slot),
                ]
            )
        return socket

    def _kind(self, node_id: str, slot: int) -> str:
        return self._descriptions[self._workflow[node_id]["class_type"]]["output"][slot]


def editor_text(api_file: Path, descriptions: JsonObject) -> str:
    """The text of the editor's twin of a file in API format."""
    workflow: JsonObject = json.loads(api_file.read_text(encoding="utf-8"))
    files = [file for node in workflow.values() for file in model_names(node)]
    name = workflow_name(api_file)
    graph = GraphBuilder(workflow, descriptions).build(name, note_of(name, files, read_chinese()))
    return json.dumps(graph, indent=1, ensure_ascii=False) + "\n"


def workflow_name(api_file: Path) -> str:
    """`infinitetalk_image` of `infinitetalk_image.api.json`."""
    return api_file.name.removesuffix(API_SUFFIX)


def twin_of(api_file: Path) -> Path:
    """Where the editor's twin of a file in API format stands."""
    return WORKFLOWS / f"{workflow_name(api_file)}.json"


def api_files() -> list[Path]:
    """The workflows in API format."""
    return sorted((WORKFLOWS / "api").glob(f"*{API_SUFFIX}"))


def blueprint_texts(workflows: Mapping[Path, str]) -> dict[Path, str]:
    """The text of each blueprint by its file, made of the editor's workflows."""
    texts: dict[Path, str] = {}
    for one in BLUEPRINTS:
        made = blueprint_of(one, json.loads(workflows[WORKFLOWS / f"{one.workflow}.json"]))
        # In ASCII: ComfyUI 0.3.75 reads these files in the system's encoding.
        texts[SUBGRAPHS / f"{one.name}.json"] = json.dumps(made, indent=1) + "\n"
    return texts


def main() -> int:
    """Write the twins, or with --check only say which of them are out of date (exit code 1)."""
    parser = argparse.ArgumentParser(description="Write the editor's workflows.")
    parser.add_argument("--comfyui", type=Path, default=ROOT / ".cache" / "ComfyUI", help="ComfyUI's folder")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is out of date")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as base, ComfyServer(chosen.comfyui, Path(base)) as server:
        descriptions = server.client.object_info()
    stale = 0
    texts = {twin_of(file): editor_text(file, descriptions) for file in api_files()}
    for twin, text in (texts | blueprint_texts(texts)).items():
        if twin.is_file() and twin.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        if not chosen.check:
            twin.write_text(text, encoding="utf-8", newline="\n")
        print(f"workflows: {twin.name} {'is out of date' if chosen.check else 'written'}")
    return 1 if chosen.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
