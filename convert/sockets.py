"""The types of sockets: as the editor saved them, as this ComfyUI or WanVideoWrapper declares them."""

from .host_nodes import HostNodes
from .source import Link, Source, SourceNode

ANY = "*"

INPUTS: dict[str, str] = {
    "audio": "AUDIO",
    **{f"audio_{index}": "AUDIO" for index in range(1, 5)},
    "cache_args": "CACHEARGS",
    "clip_embeds": "WANVIDIMAGE_CLIPEMBEDS",
    "clip_vision": "CLIP_VISION",
    "compile_args": "WANCOMPILEARGS",
    "image": "IMAGE",
    "image_1": "IMAGE",
    "image_embeds": "WANVIDIMAGE_EMBEDS",
    "images": "IMAGE",
    "lora": "WANVIDLORA",
    "model": "WANVIDEOMODEL",
    "multitalk_embeds": "MULTITALK_EMBEDS",
    "multitalk_model": "MULTITALKMODEL",
    "prev_lora": "WANVIDLORA",
    "ref_target_masks": "MASK",
    "samples": "LATENT",
    "start_image": "IMAGE",
    "t5": "WANTEXTENCODER",
    "text_embeds": "WANVIDEOTEXTEMBEDS",
    "vae": "WANVAE",
    "wav2vec_model": "WAV2VECMODEL",
}
"""The types of inputs of WanVideoWrapper's nodes and of those around it, by name; a name has one type."""

OUTPUTS: dict[str, tuple[str, ...]] = {
    "AudioCrop": ("AUDIO",),
    "AudioSeparation": ("AUDIO",) * 4,
    "CLIPVisionLoader": ("CLIP_VISION",),
    "DownloadAndLoadWav2VecModel": ("WAV2VECMODEL",),
    "GetImageRangeFromBatch": ("IMAGE", "MASK"),
    "GetImageSizeAndCount": ("IMAGE", "INT", "INT", "INT"),
    "ImageResizeKJv2": ("IMAGE", "INT", "INT", "MASK"),
    "LoadAudio": ("AUDIO",),
    "LoadImage": ("IMAGE", "MASK"),
    "LoadWanVideoClipTextEncoder": ("CLIP_VISION",),
    "LoadWanVideoT5TextEncoder": ("WANTEXTENCODER",),
    "MelBandRoFormerSampler": ("AUDIO", "AUDIO"),
    "MultiTalkModelLoader": ("MULTITALKMODEL",),
    "MultiTalkSilentEmbeds": ("MULTITALK_EMBEDS",),
    "MultiTalkWav2VecEmbeds": ("MULTITALK_EMBEDS", "AUDIO", "INT"),
    "VHS_LoadAudio": ("AUDIO", "FLOAT"),
    "VHS_LoadAudioUpload": ("AUDIO", "FLOAT"),
    **dict.fromkeys(("VHS_LoadVideo", "VHS_LoadVideoPath"), ("IMAGE", "INT", "AUDIO", "VHS_VIDEOINFO")),
    "WanVideoApplyNAG": ("WANVIDEOTEXTEMBEDS",),
    "WanVideoClipVisionEncode": ("WANVIDIMAGE_CLIPEMBEDS",),
    "WanVideoDecode": ("IMAGE",),
    "WanVideoEncode": ("LATENT",),
    "WanVideoImageToVideoMultiTalk": ("WANVIDIMAGE_EMBEDS", "STRING"),
    **dict.fromkeys(
        ("WanVideoLoraSelect", "WanVideoLoraSelectByName", "WanVideoLoraSelectMulti"), ("WANVIDLORA",)
    ),
    **dict.fromkeys(("WanVideoModelLoader", "WanVideoSetBlockSwap", "WanVideoSetLoRAs"), ("WANVIDEOMODEL",)),
    "WanVideoPassImagesFromSamples": ("IMAGE", "STRING"),
    "WanVideoSampler": ("LATENT", "LATENT"),
    "WanVideoTeaCache": ("CACHEARGS",),
    "WanVideoTextEmbedBridge": ("WANVIDEOTEXTEMBEDS",),
    "WanVideoTextEncode": ("WANVIDEOTEXTEMBEDS",),
    "WanVideoTextEncodeCached": ("WANVIDEOTEXTEMBEDS", "WANVIDEOTEXTEMBEDS", "STRING"),
    "WanVideoTextEncodeSingle": ("WANVIDEOTEXTEMBEDS",),
    "WanVideoTorchCompileSettings": ("WANCOMPILEARGS",),
    "WanVideoVAELoader": ("WANVAE",),
    "Wav2VecModelLoader": ("WAV2VECMODEL",),
}
"""The types of the outputs of WanVideoWrapper's nodes and of those around it."""


def input_type(host: HostNodes, node: SourceNode, name: str) -> str | None:
    """The type that an input takes; None if nobody says."""
    return node.input_types.get(name) or host.input_type(node.kind, name)


def output_type(host: HostNodes, node: SourceNode, slot: int) -> str | None:
    """The type that an output gives; None if nobody says."""
    for types in (node.output_types, host.output_types(node.kind), OUTPUTS.get(node.kind, ())):
        if slot < len(types):
            return types[slot]
    return None


def wanted_type(host: HostNodes, source: Source, link: Link) -> str | None:
    """The type of what the nodes that take an output want of it; None if they do not agree or say."""
    found: set[str] = set()
    for node in source.nodes.values():
        for name in (name for name, value in node.inputs.items() if value == link):
            asked = input_type(host, node, name)
            # A name tells the type for the nodes of the tables alone: others may mean anything by it.
            if asked is None and node.kind in (*OUTPUTS, "VHS_VideoCombine"):
                asked = INPUTS.get(name)
            found.add(asked or ANY)
    found.discard(ANY)
    return found.pop() if len(found) == 1 else None
