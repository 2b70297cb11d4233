"""Makes a talking video on a ComfyUI server: uploads picture and speech, follows the run, downloads.

pip install requests websocket-client
python client.py face.jpg voice.wav --server http://127.0.0.1:8188
"""

import argparse
import json
import time
import uuid
from pathlib import Path
from typing import Any

import requests
import websocket

WORKFLOW = Path(__file__).parents[2] / "workflows" / "api" / "infinitetalk_image.api.json"


def upload(server: str, file: Path) -> str:
    """Put a file into the server's input folder; its name there."""
    content = (file.name, file.read_bytes())
    answer = requests.post(f"{server}/upload/image", files={"image": content}, timeout=60)
    answer.raise_for_status()
    return answer.json()["name"]


def queue(server: str, body: dict[str, Any]) -> str:
    """Queue a workflow; the run's id. Of one refused in part the server runs the rest, with status 200."""
    told = requests.post(f"{server}/prompt", json=body, timeout=60).json()
    wrong = [(name, one) for name, node in dict(told["node_errors"]).items() for one in node["errors"]]
    if wrong or "prompt_id" not in told:
        lines = [f"node {name}: {one['message']}: {one['details']}" for name, one in wrong]
        raise SystemExit("\n".join(lines) or str(told["error"]))
    return told["prompt_id"]


def follow(socket: websocket.WebSocket, prompt_id: str) -> None:
    """Print the progress until the run ends."""
    for message in iter(socket.recv, None):
        event = {} if isinstance(message, bytes) else json.loads(message)  # bytes: previews and texts
        kind, data = event.get("type"), event.get("data", {})
        if data.get("prompt_id") != prompt_id:
            continue
        if kind == "evertalk" and data["kind"] == "step":
            print(f"window {data['window'] + 1}/{data['windows']}, step {data['step']}/{data['steps']}")
        if kind in ("execution_error", "execution_interrupted"):
            raise SystemExit(data.get("exception_message", "interrupted"))
        if kind == "execution_success":
            return


def result(server: str, prompt_id: str) -> dict[str, Any]:
    """What the run made: path, frames, seconds, windows, attention, precision, memory, warnings."""
    while prompt_id not in (history := requests.get(f"{server}/history/{prompt_id}", timeout=60).json()):
        time.sleep(0.2)  # the server writes it a moment after the end
    outputs = history[prompt_id]["outputs"]
    return next((node["evertalk"][0] for node in outputs.values() if "evertalk" in node), {})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("image", type=Path)
    parser.add_argument("audio", type=Path)
    parser.add_argument("--server", default="http://127.0.0.1:8188")
    parser.add_argument("--workflow", type=Path, default=WORKFLOW, help="in API format")
    chosen = parser.parse_args()
    workflow = json.loads(chosen.workflow.read_text(encoding="utf-8"))
    files = {"LoadImage": ("image", chosen.image), "LoadAudio": ("audio", chosen.audio)}
    for node in workflow.values():
        if found := files.get(node["class_type"]):
            node["inputs"][found[0]] = upload(chosen.server, found[1])
    body = {"prompt": workflow, "client_id": uuid.uuid4().hex}
    address = f"ws{chosen.server.removeprefix('http')}/ws?clientId={body['client_id']}"
    follow(websocket.create_connection(address), prompt_id := queue(chosen.server, body))
    if not (made := result(chosen.server, prompt_id)):
        raise SystemExit("No EverTalk Sampler ran, so there is no video: has the workflow one?")
    video = requests.get(f"{chosen.server}/view", params=made["file"], timeout=60)
    Path(made["file"]["filename"]).write_bytes(video.content)
    print(json.dumps(made, indent=1))
