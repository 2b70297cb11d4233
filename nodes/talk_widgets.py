"""The widgets that the model loader and the apply node share."""

from collections.abc import Mapping
from typing import Any

from comfy_api.latest import io

from ..attention.registry import DESCRIPTION_OF, NAMES
from .advanced import advanced
from .host.model.compute import AUTO as AUTO_COMPUTE
from .host.model.compute import CHOICES
from .host.model.files import list_talk_files
from .host.model.talking_model import MODES

MAX_RESERVE_GB = 1024.0
MAX_BUDGET_PERCENT = 20.0

_BACKENDS = " ".join(f"{name}: {description}" for name, description in DESCRIPTION_OF.items())


def talk_widgets(*more: str) -> list[io.Input]:
    """talk_model, mode, attention_mode and compile_blocks.

    Args:
        more: choices of talk_model beside the files.
    """
    return [
        io.Combo.Input(
            "talk_model",
            options=[*list_talk_files(), *more],
            tooltip="InfiniteTalk or MultiTalk weights (safetensors or GGUF), from models/model_patches or "
            "models/diffusion_models, made for the base model's size. SoulX-FlashTalk and SkyReels-V3-A2V "
            "have their own in the base model.",
        ),
        advanced(
            io.Combo.Input(
                "mode",
                options=list(MODES),
                tooltip="Whose windows. The weights' shapes do not say whose they are; auto goes by the "
                "file's name, then by its config.json, and shows what it picked.",
            )
        ),
        io.Combo.Input(
            "attention_mode",
            options=list(NAMES),
            tooltip=f"Attention backend; one that cannot run falls back to the next, with a warning. "
            f"{_BACKENDS}",
        ),
        io.Boolean.Input(
            "compile_blocks",
            default=False,
            optional=True,
            tooltip="Run the transformer's blocks under torch.compile: the first step takes a minute or so "
            "longer, all others are faster. Not used with attention_mode comfy.",
        ),
    ]


def late_widgets() -> list[io.Input]:
    """reserve_vram_gb, compute and attention_budget, which stand last on both nodes.

    New ones go to the end: saved workflows know widgets by their place.
    """
    return [advanced(widget) for widget in (reserve_widget(), compute_widget(), budget_widget())]


def budget_widget() -> io.Float.Input:
    """attention_budget."""
    return io.Float.Input(
        "attention_budget",
        default=0.0,
        min=0.0,
        max=MAX_BUDGET_PERCENT,
        step=0.5,
        optional=True,
        tooltip="Largest error of self-attention in percent that you accept for speed; 0 computes it "
        "exactly. The first window measures on your own weights which heads may run sparse within it, and "
        "the run says what it saw. Try 1, 2 or 5. Needs comfy-kitchen 0.2.40 or later, and two windows.",
    )


def reserve_widget() -> io.Float.Input:
    """reserve_vram_gb."""
    return io.Float.Input(
        "reserve_vram_gb",
        default=0.0,
        min=0.0,
        max=MAX_RESERVE_GB,
        step=0.5,
        optional=True,
        tooltip="GPU memory in GB to leave free beside what sampling takes, for other programs. More of the "
        "weights then stay in RAM. 0 is right unless you run out of memory.",
    )


def compute_widget() -> io.Combo.Input:
    """The widget `compute`."""
    return io.Combo.Input(
        "compute",
        options=list(CHOICES),
        default=AUTO_COMPUTE,
        optional=True,
        tooltip="Precision that is computed in, whatever the weights are held in. auto: bfloat16 or float16, "
        "whichever this GPU is faster in, found by a probe of milliseconds and shown with its reason; "
        "without a CUDA GPU, ComfyUI's own choice.",
    )


def without_file(talk: Mapping[str, Any]) -> dict[str, Any]:
    """The values of these widgets but the file's, which is looked for on the disk."""
    return {name: value for name, value in talk.items() if name != "talk_model"}
