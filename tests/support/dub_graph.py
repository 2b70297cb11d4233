"""The demo's workflow with a clip in place of its picture and sound, at 64x64, for tests in a real server."""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SIDE_PX = 64
PICTURE, SPEECH, SAMPLER, DECODE, CLIP, SOURCE, REGION = "1", "2", "8", "9", "20", "21", "22"

Graph = dict[str, dict[str, Any]]


def dub_graph(clip: str, *, region: bool = False, scene_cuts: str = "off", denoise: float = 1.0) -> Graph:
    """The demo's graph with a source for a start picture, and the clip's own sound for the speech."""
    graph: Graph = json.loads((ROOT / "workflows" / "api" / "demo_tiny.api.json").read_text())
    del graph[PICTURE], graph[SPEECH]
    graph[CLIP] = {"class_type": "LoadVideo", "inputs": {"file": clip}}
    widgets = {
        "scene_cuts": scene_cuts,
        "denoise": denoise,
        "feather_px": 4,
        "cut_threshold": 27.0,
        "start_s": 0.0,
    }
    graph[SOURCE] = {"class_type": "EverTalkVideoSource", "inputs": {"video": [CLIP, 0], **widgets}}
    if region:
        graph[REGION] = {
            "class_type": "LoadImageMask",
            "inputs": {"image": "lower_half.png", "channel": "red"},
        }
        graph[SOURCE]["inputs"]["region"] = [REGION, 0]
    graph["7"]["inputs"]["audio"] = [SOURCE, 1]
    del graph[SAMPLER]["inputs"]["start_image"]
    graph[SAMPLER]["inputs"] |= {
        "source": [SOURCE, 0],
        "width": SIDE_PX,
        "height": SIDE_PX,
        "window_frames": 17,
        "motion_frames": 5,
        "filename_prefix": "EverTalk/dub",
    }
    return graph
