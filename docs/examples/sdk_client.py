"""Makes a talking video through Comfy API v2: comfy-sdk, and comfy-api-proxy before your own ComfyUI server.

pip install comfy-sdk==0.5.0 comfy-api-proxy==0.1.6
comfy-api-proxy --comfyui http://127.0.0.1:8188 --port 8189
python sdk_client.py face.jpg voice.wav --server http://127.0.0.1:8189
"""

import argparse
import os
from pathlib import Path
from typing import Any

import httpx  # pyright: ignore[reportMissingImports] # comes with comfy-sdk
from comfy_sdk import Comfy, ComfyError, Progress  # pyright: ignore[reportMissingImports]

WORKFLOW = Path(__file__).resolve().parents[2] / "workflows" / "api" / "infinitetalk_image.api.json"


class StoppedError(Exception):
    """The job ended without a video; the message says why and what to do."""


def submit(server: str, graph: Path, image: Path, audio: Path) -> Any:
    """The queued job, a comfy_sdk.Job. Raises ComfyError or StoppedError if it is refused."""
    if not server.startswith(("http://", "https://")):
        raise StoppedError(f"--server: {server!r}, expected an address such as http://127.0.0.1:8189.")
    os.environ["COMFY_BASE_URL"] = server  # the only way to name it; empty, the SDK goes to Comfy Cloud
    client = Comfy()
    workflow = client.workflows.from_file(graph)
    files = {"LoadImage": ("image", image), "LoadAudio": ("audio", audio)}
    for number, node in workflow.json.items():
        if isinstance(node, dict) and (found := files.get(node.get("class_type", ""))):
            workflow.set_input(number, found[0], client.assets.from_file(found[1]))
    return client.submit(workflow)


def follow(job: Any) -> None:
    """Print the job's progress until its end; Ctrl-C asks the server to stop it."""
    print(f"job {job.id}", flush=True)
    try:
        for event in job.events():
            if isinstance(event, Progress) and event.steps:
                print(f"node {event.current_node}: step {event.step}/{event.steps}", flush=True)
    except KeyboardInterrupt:
        print(f"asked the server to stop: {job.cancel().status}", flush=True)
    job.wait()


def fetch(job: Any, folder: Path) -> list[Path]:
    """The videos of a job that has ended, downloaded. Raises StoppedError if it made none."""
    if error := job.error:
        raise StoppedError(f"Node {error.node_id} ({error.class_type}) failed: {error.message.strip()}")
    if job.status != "succeeded":
        raise StoppedError(f"Stopped ({job.status}). Run it again: finished windows are not made again.")
    videos = [output for output in job.outputs if output.content_type.startswith("video/")]
    if not videos:
        raise StoppedError("No video. If a part of the workflow was refused, the log of ComfyUI names it.")
    return [video.to_file(folder / Path(video.name).name) for video in videos]


def reasons(error: Exception) -> str:
    """What a refusal says of each node; of another error, its message."""
    nodes = (getattr(error, "details", None) or {}).get("node_errors") or {}
    found = [(number, one) for number, node in nodes.items() for one in node["errors"]]
    return "\n".join([str(error), *(f"  node {at}: {one['message']}: {one['details']}" for at, one in found)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("image", type=Path)
    parser.add_argument("audio", type=Path)
    parser.add_argument("--server", default="http://127.0.0.1:8189", help="of comfy-api-proxy")
    parser.add_argument("--workflow", type=Path, default=WORKFLOW, help="in API format")
    chosen = parser.parse_args()
    try:
        made = submit(chosen.server, chosen.workflow, chosen.image, chosen.audio)
        follow(made)
        print(*fetch(made, Path.cwd()), sep="\n")
    except (ComfyError, StoppedError, httpx.HTTPError, OSError) as error:
        raise SystemExit(reasons(error)) from error
