"""No two nodes of a bundled workflow overlap, measured in the real editor."""

import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from editor_page import Editor
from editors import Drawing, each_editor

pytestmark = pytest.mark.host

TEMPLATES = sorted((Path(__file__).resolve().parents[2] / "workflows").glob("*.json"))
OPEN_JS = """async (graph) => {
  const { app } = window
  await app.loadGraphData(graph, true, true, null)
  const { ds } = app.canvas
  ds.scale = 0.5 // nodes far off the screen are not measured
  ds.offset = [600, 100]
  app.canvas.setDirty(true, true)
  await new Promise((resolve) => setTimeout(resolve, 1200)) // pictures load, nodes grow
}"""
SHOW_MISSING_JS = """(shown) =>
  window.app.extensionManager.setting.set('Comfy.ErrorSystem.ShowMissingModels', Boolean(shown))"""
"""Later frontends put a bar below a node whose model is missing, which it is for whoever begins."""

BOXES_JS = """(areElements) => {
  const { canvas, graph } = window.app
  const { scale, offset } = canvas.ds
  const origin = canvas.canvas.getBoundingClientRect()
  const onPage = (node) => {
    const element = document.querySelector(`[data-node-id="${node.id}"]`)
    const { x, y, width, height } = element.getBoundingClientRect()
    const [left, top] = [(x - origin.x) / scale - offset[0], (y - origin.y) / scale - offset[1]]
    return [left, top, width / scale, height / scale]
  }
  return graph.nodes.map((node) => [node.title, areElements ? onPage(node) : [...node.getBounding()]])
}"""

Box = list[float]


def overlap_px(one: Box, other: Box) -> float:
    """By how much two boxes (left, top, width, height) overlap, on the axis where it is less; 0 if apart."""
    shared = [
        min(one[axis] + one[axis + 2], other[axis] + other[axis + 2]) - max(one[axis], other[axis])
        for axis in (0, 1)
    ]
    return max(0.0, min(shared))


@pytest.fixture(scope="module", autouse=True)
def _missing_models_are_shown(editor: Editor, drawing: Drawing) -> Iterator[None]:
    if not drawing.is_newest:
        yield
        return
    editor.page.evaluate(SHOW_MISSING_JS, 1)
    yield
    editor.page.evaluate(SHOW_MISSING_JS, 0)


@each_editor()
@pytest.mark.parametrize("file", TEMPLATES, ids=[file.stem for file in TEMPLATES])
def test_nodes_of_a_workflow_stand_apart(editor: Editor, drawing: Drawing, file: Path) -> None:
    workflow: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    editor.page.evaluate(OPEN_JS, workflow)
    boxes: list[tuple[str, Box]] = editor.page.evaluate(BOXES_JS, drawing.has_node_elements)
    assert len(boxes) == len(workflow["nodes"])
    assert min(box[3] for _, box in boxes) > 60, "every node was drawn"
    pairs = [(a, b, overlap_px(one, other)) for (a, one), (b, other) in combinations(boxes, 2)]
    assert [pair for pair in pairs if pair[2] > 0] == []
