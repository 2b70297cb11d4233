"""The guidance node: how strongly text and audio pull, and when."""

from typing import Any

from comfy_api.latest import io

from ..multitalk.model.guidance import GuidanceSettings
from .host.report.node import EverTalkNode
from .sampler_widgets import MAX_SCALE
from .sockets import GuidanceSocket

DEFAULTS = GuidanceSettings()
MAX_NORM = 1000.0


class EverTalkGuidance(EverTalkNode):
    """Text and audio guidance with all their settings."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Widgets, defaults and tooltips."""
        return io.Schema(
            node_id="EverTalkGuidance",
            display_name="EverTalk Guidance",
            description="Replaces the sampler's text_scale and audio_scale, and adds adaptive projected "
            "guidance and the span of steps in which the audio scale applies. Each scale of 1 saves passes.",
            inputs=[
                scale_input(
                    "text_scale",
                    DEFAULTS.text_scale,
                    "How closely the prompt is followed. 1: one pass less; use 1 with distilled LoRAs, 5 "
                    "without. Other values need a negative prompt.",
                ),
                scale_input(
                    "audio_scale",
                    DEFAULTS.audio_scale,
                    "How strongly the speech moves the lips. 1: one pass less; 3 to 5 gives the best lips. 0 "
                    "is silent in every step.",
                ),
                io.Boolean.Input(
                    "apg",
                    default=DEFAULTS.apg,
                    tooltip="Adaptive projected guidance: high scales without burnt colours.",
                ),
                io.Float.Input(
                    "apg_momentum",
                    default=DEFAULTS.apg_momentum,
                    min=-0.99,
                    max=0.99,
                    step=0.05,
                    tooltip="With apg: share of the step before that is added; below 0 it weakens what "
                    "repeats.",
                ),
                io.Float.Input(
                    "apg_norm_threshold",
                    default=DEFAULTS.apg_norm_threshold,
                    min=0.0,
                    max=MAX_NORM,
                    step=1.0,
                    tooltip="With apg: the greatest length of a step's correction. 0: no limit.",
                ),
                percent_input(
                    "audio_start_percent",
                    DEFAULTS.audio_start_percent,
                    "Share of the steps, 0 to 1, before which audio_scale counts as 1 (and costs no pass).",
                ),
                percent_input(
                    "audio_end_percent",
                    DEFAULTS.audio_end_percent,
                    "Share of the steps, 0 to 1, from which on audio_scale counts as 1 (and costs no pass).",
                ),
            ],
            outputs=[GuidanceSocket.Output(display_name="guidance", tooltip="For EverTalk Sampler.")],
        )

    @classmethod
    def validate_inputs(
        cls, audio_start_percent: float | None = 0.0, audio_end_percent: float | None = 1.0
    ) -> None:
        """Refuse a span that ends before it starts, before anything runs; None is a link, not known yet."""
        start = 0.0 if audio_start_percent is None else audio_start_percent
        end = 1.0 if audio_end_percent is None else audio_end_percent
        GuidanceSettings(audio_start_percent=start, audio_end_percent=end)

    @classmethod
    def execute(cls, **settings: Any) -> io.NodeOutput:
        """Gather the widgets, which have the names of the settings."""
        return io.NodeOutput(GuidanceSettings(**settings))


def scale_input(name: str, default: float, tooltip: str) -> io.Float.Input:
    """A guidance scale."""
    return io.Float.Input(name, default=default, min=0.0, max=MAX_SCALE, step=0.1, tooltip=tooltip)


def percent_input(name: str, default: float, tooltip: str) -> io.Float.Input:
    """A share of the steps."""
    return io.Float.Input(name, default=default, min=0.0, max=1.0, step=0.01, tooltip=tooltip)
