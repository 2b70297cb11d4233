#!/usr/bin/env bash
# comfy-test 0.4.15: its VALIDATION and COVERAGE levels do not know nodes of ComfyUI's V3 schema.
#
# A V3 node's choice is ["COMBO", {"options": [...]}] in /object_info, where an older node has the list itself in the first
# place. VALIDATION takes every type in capitals but BOOLEAN, INT, FLOAT and STRING for a socket, so that "COMBO" uses up no
# value of widgets_values: all that follow are read one place too early, and a right workflow is refused. Core's own
# ImageScaleToTotalPixels (ComfyUI 0.33.0) is taken here; so it is with EverTalk's nodes. COVERAGE looks for
# NODE_CLASS_MAPPINGS alone and finds no node in a pack that has comfy_entrypoint.
#
# PYTHON: one that has the pinned package, else a venv is made for it.
set -euo pipefail
python="${PYTHON:-python3}"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
pinned='import importlib.metadata as m, sys
sys.exit(0 if m.version("comfy-test") == "0.4.15" else 1)'
if ! "$python" -c "$pinned" 2>/dev/null; then
  "$python" -m venv "$folder/venv"
  python="$folder/venv/bin/python"
  "$python" -m pip install --quiet comfy-test==0.4.15
fi
mkdir "$folder/pack"
cat > "$folder/pack/__init__.py" <<'PY'
from comfy_api.latest import ComfyExtension, io


class Echo(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="Echo", inputs=[io.Int.Input("value")], outputs=[io.Int.Output()])

    @classmethod
    def execute(cls, value):
        return io.NodeOutput(value)


class EchoExtension(ComfyExtension):
    async def get_node_list(self):
        return [Echo]


async def comfy_entrypoint():
    return EchoExtension()
PY
"$python" - "$folder/pack" <<'PY'
import sys
from pathlib import Path

from comfy_test.comfyui.coverage import analyze_coverage
from comfy_test.comfyui.validator import WorkflowValidation

METHODS = ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]
SCALE = {"id": 1, "type": "ImageScaleToTotalPixels", "widgets_values": ["lanczos", 1.0, 1]}
WORKFLOW = {"nodes": [SCALE], "links": []}


def errors(choice):
    megapixels = ["FLOAT", {"default": 1.0, "min": 0.01, "max": 16.0, "step": 0.01}]
    steps = ["INT", {"advanced": True, "default": 1, "min": 1, "max": 256}]
    inputs = {"upscale_method": choice, "megapixels": megapixels, "resolution_steps": steps}
    node = {"input": {"required": inputs}, "output": ["IMAGE"], "output_name": ["IMAGE"], "name": SCALE["type"]}
    found = WorkflowValidation({SCALE["type"]: node}).validate(WORKFLOW).errors
    return [str(error) for error in found if error.level == "schema"]


older = errors([METHODS])
v3 = errors(["COMBO", {"multiselect": False, "options": METHODS}])
nodes = sorted(analyze_coverage(Path(sys.argv[1])).registered)
print("values ['lanczos', 1.0, 1] for a choice, a FLOAT and an INT")
print("  the choice as an older node has it:", older or "right")
print("  the choice as a V3 node has it:", v3)
print("nodes that COVERAGE finds in a V3 pack of one:", nodes)
assert older == []
assert any("'megapixels': expected FLOAT" in error and "'lanczos'" in error for error in v3), v3
assert nodes == []
print("shown: a right workflow of a V3 node is refused, and its pack has no nodes")
PY
