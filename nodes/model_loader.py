"""The model loader node: base model and audio weights in, a MODEL that can speak out."""

from typing import Any

import folder_paths
from comfy_api.latest import io

from .host.model.files import list_base_files
from .host.model.loaders import Quantization
from .host.model.patcher import attachment_of
from .host.model.talking_model import (
    IN_BASE,
    LORA_FOLDERS,
    NO_LORA,
    BaseChoice,
    TalkChoice,
    check_files,
    file_stamps,
    load_choice,
)
from .host.report.node import EverTalkNode
from .host.report.progress import show_on_node, warn_on_node
from .host.report.widgets import check_widgets
from .host.server.header_checks import off_the_loop
from .talk_widgets import late_widgets, talk_widgets, without_file


class EverTalkModelLoader(EverTalkNode):
    """Loads Wan 2.1 I2V and puts the audio weights on it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Widgets, defaults and tooltips."""
        return io.Schema(
            node_id="EverTalkModelLoader",
            display_name="EverTalk Model Loader",
            description="Loads Wan 2.1 image-to-video through ComfyUI's own loader and adds the audio "
            "weights.",
            inputs=[
                io.Combo.Input(
                    "base_model",
                    options=list_base_files(),
                    tooltip="Wan 2.1 I2V 14B (480p or 720p), SoulX-FlashTalk or SkyReels-V3-A2V, from "
                    "models/diffusion_models: a file, or a folder with config.json and all its parts.",
                ),
                *talk_widgets(IN_BASE),
                io.Combo.Input(
                    "quantization",
                    options=[quantization.value for quantization in Quantization],
                    tooltip="How the base model's weights are held. 'as stored' keeps the file's own "
                    "precision, fp8 scaled included. fp8_rowwise: fp8 products with a scale for each row, "
                    "made when it loads; the most exact of the fast ones. What was done is shown beside what "
                    "was asked. The audio weights keep theirs, but for two products a block, which are fp8 "
                    "where the base's are and bfloat16 is computed in.",
                ),
                io.Combo.Input(
                    "lora",
                    options=[NO_LORA, *folder_paths.get_filename_list(LORA_FOLDERS[0])],
                    tooltip="A LoRA for the base model, usually lightx2v's 4-step one. For more of them, "
                    "chain ComfyUI's LoRA loaders after this node.",
                ),
                io.Float.Input(
                    "lora_strength",
                    default=1.0,
                    min=-10.0,
                    max=10.0,
                    step=0.05,
                    tooltip="Strength of the LoRA.",
                ),
                *late_widgets(),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="For EverTalk Sampler.")],
        )

    @classmethod
    async def validate_inputs(
        cls,
        base_model: str | None = None,
        talk_model: str | None = None,
        lora: str | None = None,
        mode: str | None = None,
    ) -> None:
        """Refuse files that are missing or cannot be used when the prompt is queued, before anything runs.

        A name that comes over a link is not known yet; it is checked when the node runs.
        """
        await off_the_loop("base_model", lambda: check_files(base_model, talk_model, lora, mode))

    @classmethod
    def fingerprint_inputs(
        cls, base_model: str | None = None, talk_model: str | None = None, lora: str | None = None, **_: Any
    ) -> object:
        """Load again when a file changed on disk."""
        return file_stamps(base_model, talk_model, lora)

    @classmethod
    def execute(
        cls, base_model: str, quantization: str, lora: str, lora_strength: float, **talk: Any
    ) -> io.NodeOutput:
        """Check both files, load them, and show what was done."""
        check_widgets(
            cls, {"quantization": quantization, "lora_strength": lora_strength, **without_file(talk)}
        )
        model = load_choice(
            BaseChoice(base_model, Quantization(quantization), lora, lora_strength), TalkChoice.of(talk)
        )
        attachment = attachment_of(model)
        for warning in attachment.warnings:
            warn_on_node(warning)
        show_on_node("; ".join(attachment.notes))
        return io.NodeOutput(model)
