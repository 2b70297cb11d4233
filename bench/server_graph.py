"""The bundled workflows as `real_server.py` queues them: with its files, and a prepared prompt."""

import json
from pathlib import Path
from typing import Any

from random_files import FileSet
from server_variants import Variant

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = ROOT / "workflows" / "api"
SIZES = {"flashtalk": "448x768"}
"""That a whole model was made for; that of all others is OTHER_SIZE."""

OTHER_SIZE = "832x480"
PICTURE = ROOT / "demo" / "media" / "portrait.jpg"


def graph_of(variant: Variant, files: FileSet, seed: int) -> dict[str, Any]:
    """The bundled workflow with a prepared prompt; without CLIP vision where the files have none."""
    people = "two_people" if variant.voices == 2 else "image"
    workflow = WORKFLOWS / f"{variant.whole or 'infinitetalk'}_{people}.api.json"
    graph: dict[str, Any] = json.loads(workflow.read_text(encoding="utf-8"))
    by_class = {node["class_type"]: (name, node["inputs"]) for name, node in graph.items()}
    loader, sampler = by_class["EverTalkModelLoader"][1], by_class["EverTalkSampler"][1]
    loader |= {"base_model": files.base, "talk_model": files.audio, "attention_mode": variant.attention}
    loader |= {"quantization": variant.quantization.replace("as_stored", "as stored")}
    loader |= {"lora": files.lora if variant.lora else "none", "compile_blocks": variant.compile}
    loader |= {"reserve_vram_gb": variant.reserve}
    loader |= {"compute": variant.compute} if variant.compute else {}
    loader |= {"attention_budget": variant.budget} if variant.budget else {}
    by_class["VAELoader"][1]["vae_name"] = files.vae
    by_class["EverTalkAudioEncoderLoader"][1]["encoder"] = files.speech
    by_class["LoadImage"][1]["image"] = PICTURE.name
    for node in graph.values():
        if node["class_type"] == "LoadAudio":
            node["inputs"]["audio"] = f"speech_{variant.seconds:g}.wav"
    if "EverTalkSpeakers" in by_class:  # together: as many windows as one voice has
        by_class["EverTalkSpeakers"][1]["arrangement"] = "para"
    prompt_id = by_class["CLIPTextEncode"][0]
    del graph[by_class["CLIPLoader"][0]]
    graph[prompt_id] = {"class_type": "EverTalkTextEmbeds", "inputs": {"file": files.prompt, "save_as": ""}}
    if "EverTalkSchedule" in by_class:  # its prompts need a text encoder
        del graph[by_class["EverTalkSchedule"][0]], sampler["schedule"]
    if files.is_tiny:
        for name in ("CLIPVisionLoader", "CLIPVisionEncode"):
            graph.pop(by_class.get(name, ("",))[0], None)
        for name in ("clip_vision", "clip_vision_output"):
            sampler.pop(name, None)
    else:
        by_class["CLIPVisionLoader"][1]["clip_name"] = files.clip_vision
    if variant.gpus > 1:
        parallel = {"model": sampler["model"], "gpus": str(variant.gpus)}
        graph["parallel"] = {"class_type": "EverTalkParallel", "inputs": parallel}
        sampler["model"] = ["parallel", 0]
    size = variant.size or SIZES.get(variant.whole, OTHER_SIZE)
    width, height = (int(side) for side in size.split("x"))
    sampler |= {"size": "custom", "width": width, "height": height, "seed": seed}
    sampler |= {"window_frames": variant.frames} if variant.frames else {}
    sampler |= {"resume": "auto" if variant.kill else "restart"}
    sampler |= {"scheduler": scheduler_of(variant), "steps": variant.steps}
    return graph


def scheduler_of(variant: Variant) -> str:
    """The schedule of so many steps."""
    if variant.whole == "flashtalk":
        return "flashtalk" if variant.steps == 4 else "flashtalk_2"
    return variant.whole or ("multitalk" if variant.steps == 4 else "simple")
