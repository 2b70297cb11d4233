"""The bundled workflows, made small: tiny models in the real ones' place."""

from typing import Any

Graph = dict[str, dict[str, Any]]

TINY: dict[str, dict[str, Any]] = {
    "EverTalkModelLoader": {
        "base_model": "evertalk_tiny_wan_i2v.safetensors",
        "talk_model": "evertalk_tiny_infinitetalk.safetensors",
        "lora": "none",
    },
    "UNETLoader": {"unet_name": "evertalk_tiny_wan_i2v.safetensors"},
    "EverTalkApply": {"talk_model": "evertalk_tiny_infinitetalk.safetensors"},
    "VAELoader": {"vae_name": "evertalk_tiny_wan_vae.safetensors"},
    "EverTalkAudioEncoderLoader": {"encoder": "evertalk_tiny_wav2vec2.safetensors"},
    "EverTalkSchedule": {"prompts": ""},
}
"""There is no tiny text encoder that a loader would take: the prompt is a prepared one."""

SMALL: dict[str, Any] = {
    "size": "custom",
    "width": 64,
    "height": 64,
    "window_frames": 9,
    "motion_frames": 5,
}

MISSING = {"CLIPLoader", "CLIPVisionLoader", "CLIPVisionEncode", "LoraLoaderModelOnly"}
"""What there is no tiny file for."""


def tiny_of(graph: Graph, speech: str, **sampler: Any) -> Graph:
    """A workflow in API format, small, with the tiny models and a sound of the server's input folder."""
    lost = {node_id: node for node_id, node in graph.items() if node["class_type"] in MISSING}
    for node in graph.values():
        node["inputs"] |= TINY.get(node["class_type"], {})
        if node["class_type"] == "LoadAudio":
            node["inputs"]["audio"] = speech
        if node["class_type"] == "CLIPTextEncode":
            node["class_type"] = "EverTalkTextEmbeds"
            node["inputs"] = {"file": "evertalk_tiny_prompt.safetensors", "save_as": ""}
        if node["class_type"] == "EverTalkSampler":
            node["inputs"] |= SMALL | sampler
        for key, value in list(node["inputs"].items()):
            if isinstance(value, list) and value[0] in lost:
                del node["inputs"][key]
                # A LoRA loader hands its model on; the others give nothing that the run needs.
                node["inputs"] |= {key: lost[value[0]]["inputs"][key]} if key == "model" else {}
    return {node_id: node for node_id, node in graph.items() if node_id not in lost}
