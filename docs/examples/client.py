"""Makes a talking video on a ComfyUI server: uploads picture and speech, follows the run, downloads.

pip install aiohttp
python client.py face.jpg voice.wav --server http://127.0.0.1:8188

To take it into a program of yours, copy demo/comfy_client.py beside it.
"""

import argparse
import json
import sys
from pathlib import Path

PACK = Path(__file__).resolve().parents[2]
sys.path.append(str(PACK / "demo"))
from comfy_client import ComfyClient, Event, JobError, JsonObject, PackEvent, ServerError  # noqa: E402

WORKFLOW = PACK / "workflows" / "api" / "infinitetalk_image.api.json"


def show(event: Event) -> None:
    """Print the progress of the run."""
    if isinstance(event, PackEvent) and event.kind == "step":
        told = event.data
        print(f"window {told['window'] + 1}/{told['windows']}, step {told['step']}/{told['steps']}")


def make_video(client: ComfyClient, workflow: JsonObject, image: Path, audio: Path) -> JsonObject:
    """What the run made: path, frames, seconds, windows, attention, precision, memory, warnings."""
    files = {"LoadImage": ("image", image), "LoadAudio": ("audio", audio)}
    for node in workflow.values():
        if found := files.get(node["class_type"]):
            node["inputs"][found[0]] = client.upload(found[1])
    outputs = client.run(workflow, show, timeout_s=None).outputs
    return next((node["evertalk"][0] for node in outputs.values() if "evertalk" in node), {})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("image", type=Path)
    parser.add_argument("audio", type=Path)
    parser.add_argument("--server", default="http://127.0.0.1:8188")
    parser.add_argument("--workflow", type=Path, default=WORKFLOW, help="in API format")
    chosen = parser.parse_args()
    server = ComfyClient(chosen.server)
    graph = json.loads(chosen.workflow.read_text(encoding="utf-8"))
    try:
        made = make_video(server, graph, chosen.image, chosen.audio)
        if not made:
            raise SystemExit("No EverTalk Sampler ran, so there is no video: has the workflow one?")
        if file := made["file"]:
            Path(file["filename"]).write_bytes(server.view(file["filename"], file["subfolder"], file["type"]))
    except (JobError, ServerError) as error:
        raise SystemExit(str(error)) from error
    print(json.dumps(made, indent=1))
