"""Takes the pictures of the workflows' graphs in the real editor, and a strip of the demo's frames.

    make demo && make demo ARGS=--two && make demo ARGS=--portrait && make pictures

Writes workflows/NAME.jpg, which ComfyUI's template browser shows beside the workflow, docs/graph.png, and,
out of the demo's newest videos in demo/run/output, docs/demo.png and the moving pictures docs/cartoon.webp
and docs/cartoon_two.webp.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import av
from make_workflows import ROOT, WORKFLOWS, ComfyServer, api_files, twin_of
from PIL import Image

DOCS = ROOT / "docs"
MEDIA = ROOT / "demo" / "media"
GRAPH_IN_README = "infinitetalk_image"
THUMBNAIL_PX = 640
STRIP_FRAMES = (10, 20, 70, 160)
CLIP_FRAMES, CLIP_STEP, CLIP_PX = 150, 2, 192
QUIET_EDITOR = {
    "Comfy.TutorialCompleted": True,  # else the template browser opens on top
    "Comfy.Workflow.ShowMissingModelsWarning": False,  # no model is there
    "Comfy.Minimap.Visible": False,
    "Comfy.Graph.CanvasInfo": False,
    "Comfy.Graph.CanvasMenu": False,
}


def shoot_graphs(comfyui: Path, browser: Path, out: Path) -> None:
    """Write out/NAME.png for every workflow; raises CalledProcessError if the editor misses a node."""
    with tempfile.TemporaryDirectory() as base:
        settings = Path(base) / "user" / "default" / "comfy.settings.json"
        settings.parent.mkdir(parents=True)
        settings.write_text(json.dumps(QUIET_EDITOR), encoding="utf-8")
        with ComfyServer(comfyui, Path(base)) as server:
            for file in sorted(MEDIA.glob("*.[jf]*")):
                server.client.upload(file)
            twins = [str(twin_of(file)) for file in api_files()]
            script = ROOT / "scripts" / "shoot_graph.mjs"
            command = ["node", str(script), str(browser), server.client.address, str(out), *twins]
            subprocess.run(command, check=True)


def write_graph_pictures(shots: Path) -> None:
    """The thumbnails, and the README's picture."""
    for file in api_files():
        twin = twin_of(file)
        picture = Image.open(shots / f"{twin.stem}.png").convert("RGB")
        if twin.stem == GRAPH_IN_README:
            picture.save(DOCS / "graph.png", optimize=True)
        picture.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
        picture.save(WORKFLOWS / f"{twin.stem}.jpg", quality=85, optimize=True)


def write_strip(videos: Path, name: str) -> None:
    """Some frames of the newest video of that name side by side; nothing if there is no video."""
    newest = max(videos.rglob(f"{name}_*.mp4"), key=lambda file: file.stat().st_mtime, default=None)
    if newest is None:
        print(f"pictures: no {name} video in {videos}; docs/{name}.png stays as it is")
        return
    with av.open(newest) as container:
        frames = [frame.to_image() for frame in container.decode(video=0)]
    chosen = [frames[index] for index in STRIP_FRAMES if index < len(frames)]
    width, height = chosen[0].size
    strip = Image.new("RGB", (width * len(chosen), height))
    for position, frame in enumerate(chosen):
        strip.paste(frame, (position * width, 0))
    strip.save(DOCS / f"{name}.png", optimize=True)


def write_clip(videos: Path, name: str) -> None:
    """The beginning of the newest video of that name as a small moving picture."""
    newest = max(videos.rglob(f"{name}_0*.mp4"), key=lambda file: file.stat().st_mtime, default=None)
    if newest is None:
        print(f"pictures: no {name} video in {videos}; docs/{name}.webp stays as it is")
        return
    with av.open(newest) as container:
        frames = [frame.to_image() for frame in container.decode(video=0)][:CLIP_FRAMES:CLIP_STEP]
    first, *others = [frame.resize((CLIP_PX, CLIP_PX)) for frame in frames]
    duration_ms = 40 * CLIP_STEP
    first.save(
        DOCS / f"{name}.webp", save_all=True, append_images=others, duration=duration_ms, loop=0, quality=70
    )


def main() -> None:
    """Read the command line and write the pictures."""
    parser = argparse.ArgumentParser(description="Write the pictures of the workflows and the demo.")
    parser.add_argument("--comfyui", type=Path, default=ROOT / ".cache" / "ComfyUI", help="ComfyUI's folder")
    parser.add_argument(
        "--browser", type=Path, default=ROOT / ".cache" / "browser", help="where playwright-core is installed"
    )
    chosen = parser.parse_args()
    DOCS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as shots:
        shoot_graphs(chosen.comfyui, chosen.browser, Path(shots))
        write_graph_pictures(Path(shots))
    write_strip(ROOT / "demo" / "run" / "output", "demo")
    for name in ("cartoon", "cartoon_two"):
        write_clip(ROOT / "demo" / "run" / "output", name)
    for file in [*sorted(WORKFLOWS.glob("*.jpg")), *sorted(DOCS.glob("*.png")), *sorted(DOCS.glob("*.webp"))]:
        print(f"pictures: {file.relative_to(ROOT)} {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
