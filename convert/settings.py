"""Settings that have no counterpart: which of them ComfyUI makes needless, and which were never touched."""

from collections.abc import Collection

from .constants import number
from .source import Link, SourceNode
from .work import Work

FPS = 25.0
"""Of EverTalk's videos."""

DEFAULTS: dict[str, object] = {
    "add_noise_floor": False,
    "audio_scale": 1,
    "combine_embeds": "average",
    "denoise_strength": 1,
    "end_step": -1,
    "latent_strength": 1,
    "noise_aug_strength": 0,
    "normalization": "default",
    "quantization": "disabled",
    "loop_count": 0,
    "ratio": 0.5,
    "riflex_freq_index": 0,
    "rms_norm_function": "default",
    "save_output": True,
    "smooth_transients": False,
    "start_step": 0,
    "strength_1": 1,
    "strength_2": 1,
    "tiles": 0,
    "use_coefficients": True,
}
"""Values that change nothing, by the input's name: where they stand, nothing is lost."""

MEMORY = "ComfyUI moves weights and frees memory by itself"
CACHE = "ComfyUI keeps results, and EverTalk Text Embeddings keeps a prompt in a file"
TILES = "EverTalk decodes windows as they are made; no frame is decoded at the end"
PRECISION = "the precision is chosen for the card (for the base, by the loader's compute), and said"

NEEDLESS: dict[str, str] = {
    "add_noise_to_samples": "EverTalk Video Source adds the noise that its denoise asks for",
    **dict.fromkeys(
        ("force_offload", "load_device", "low_mem_load", "use_cpu_cache", "model_to_offload"), MEMORY
    ),
    **dict.fromkeys(("device", "merge_loras", "vram_management_args", "block_swap_args"), MEMORY),
    **dict.fromkeys(("use_disk_cache",), CACHE),
    **dict.fromkeys(("enable_vae_tiling", "tile_x", "tile_y", "tile_stride_x", "tile_stride_y"), TILES),
    **dict.fromkeys(("tiled_vae",), TILES),
    **dict.fromkeys(("precision", "base_precision"), PRECISION),
    **dict.fromkeys(
        ("crf", "pix_fmt", "save_metadata"), "EverTalk Sampler writes the file, workflow included"
    ),
    **dict.fromkeys(("rope_function", "verbose", "batched_cfg"), "it changes speed alone"),
}
"""Inputs that ComfyUI or EverTalk makes needless, and why."""

EDITORS_OWN = ("videopreview", "choose video to upload", "choose file to upload", "upload", "audioUI")
"""Buttons and players that the editor saves among the values."""

UNTOUCHED: dict[str, tuple[object, ...]] = {
    "add_noise_to_samples": (False,),
    "force_offload": (True, False),
    "load_device": ("main_device", "offload_device"),
    "low_mem_load": (False,),
    "use_cpu_cache": (False,),
    "batched_cfg": (False,),
    "crf": (19,),
    "pix_fmt": ("yuv420p",),
    "save_metadata": (True,),
    "device": ("gpu",),
    "merge_loras": (True,),
    "use_disk_cache": (False, True),
    "enable_vae_tiling": (False,),
    "tile_x": (272,),
    "tile_y": (272,),
    "tile_stride_x": (144,),
    "tile_stride_y": (128,),
    "tiled_vae": (False,),
    "precision": ("bf16", "fp16"),
    "base_precision": ("bf16", "fp16"),
    "rope_function": ("comfy", "default"),
    "verbose": (False,),
}
"""Values of needless inputs that nobody chose on purpose; they are not worth a remark."""


def frame_rate(work: Work, node: SourceNode, name: str) -> float:
    """The frames a second that a node asks for; says so if they are not EverTalk's."""
    rate = number(work, node, name, FPS)
    if rate != FPS:
        work.lost(node, f"{name} {rate:g}: EverTalk's videos have 25 frames a second")
    return rate


def one_after_fours(work: Work, node: SourceNode, name: str, frames: int) -> int:
    """A number of frames as latents hold them, a multiple of 4 and one; says so if it is another."""
    fit = (frames - 1) // 4 * 4 + 1
    if fit != frames:
        work.changed(node, f"{name} {frames} becomes {fit}: one more than a multiple of 4")
    return fit


def fitting(work: Work, node: SourceNode, name: str, value: float, ends: tuple[float, float]) -> float:
    """A number as a widget of EverTalk takes it, whose ends are given; says so if it is another."""
    low, high = ends
    fit = min(high, max(low, value))
    if fit != value:
        text = f"{name} {value:g} becomes {fit:g}: EverTalk takes {low:g} to {high:g}"
        work.changed(node, text)
    return fit


def account_for(work: Work, node: SourceNode, carried: Collection[str]) -> None:
    """Say what becomes of every input of a node that was not carried over."""
    for name, value in node.inputs.items():
        if name in carried or name in EDITORS_OWN or value is None:
            continue
        if isinstance(value, Link):
            source = work.node_of(value)
            label = source.name if source else value.node
            if name in NEEDLESS:
                work.needless(node, f"{name} ({label}): {NEEDLESS[name]}")
            else:
                work.lost(node, f"{name} ({label}) has no counterpart")
        elif name in NEEDLESS:
            if value not in UNTOUCHED.get(name, ()):
                work.needless(node, f"{name} {value}: {NEEDLESS[name]}")
        elif (name not in DEFAULTS or value != DEFAULTS[name]) and value != "":
            work.lost(node, f"{name} {value} has no counterpart")
