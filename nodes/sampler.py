"""The sampler node: speech and a picture in, a talking video out."""

from typing import Any

from comfy.samplers import SAMPLER_NAMES, SCHEDULER_NAMES
from comfy_api.latest import io

from ..multitalk.guidance import GuidanceSettings
from ..multitalk.run_settings import MAX_SIZE_PX, OWN_SCHEDULES, ScheduleSettings, WindowSettings
from ..multitalk.types import WINDOW_FRAMES
from ..multitalk.video_writer import VideoWriter
from . import sampler_tooltips as tips
from .host.request import CUSTOM_SIZE, SIZES, OutputForm, SamplerWidgets, plan_run
from .host.run import latent_result, play, saved_result
from .host.studio import Cast
from .host.video_file import output_file, run_metadata
from .sockets import AudioEmbedsSocket

LAZY_SOCKETS = ("model", "positive", "vae", "negative", "clip_vision_output")
"""Evaluated only after everything else was found good, so that bad input is refused before weights load."""


class EverTalkSampler(io.ComfyNode):
    """Samples window after window and writes the video as they are made."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Sockets, widgets, defaults and tooltips."""
        return io.Schema(
            node_id="EverTalkSampler",
            display_name="EverTalk Sampler",
            category="EverTalk",
            description=tips.NODE,
            inputs=[*cls.socket_inputs(), *cls.widget_inputs()],
            outputs=[io.Latent.Output(display_name="samples", tooltip=tips.SAMPLES)],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
        )

    @classmethod
    def socket_inputs(cls) -> list[io.Input]:
        """What other nodes give."""
        return [
            io.Model.Input("model", lazy=True, tooltip=tips.MODEL),
            io.Conditioning.Input("positive", lazy=True, tooltip=tips.POSITIVE),
            io.Vae.Input("vae", lazy=True, tooltip=tips.VAE),
            AudioEmbedsSocket.Input("audio_embeds", tooltip=tips.AUDIO_EMBEDS),
            io.Image.Input("start_image", tooltip=tips.START_IMAGE),
            io.Conditioning.Input("negative", optional=True, lazy=True, tooltip=tips.NEGATIVE),
            io.ClipVisionOutput.Input(
                "clip_vision_output", optional=True, lazy=True, tooltip=tips.CLIP_VISION_OUTPUT
            ),
        ]

    @classmethod
    def widget_inputs(cls) -> list[io.Input]:
        """What the user sets on the node."""
        windows, schedule, guidance = WindowSettings(), ScheduleSettings(), GuidanceSettings()
        side = {"min": 16, "max": MAX_SIZE_PX, "step": 16}
        scale = {"min": 0.0, "max": 30.0, "step": 0.1}
        return [
            io.Combo.Input("size", options=[*SIZES, CUSTOM_SIZE], tooltip=tips.SIZE),
            io.Int.Input("width", default=832, tooltip=tips.WIDTH, **side),
            io.Int.Input("height", default=480, tooltip=tips.HEIGHT, **side),
            io.Int.Input(
                "window_frames", windows.window_frames, min=1, max=WINDOW_FRAMES, tooltip=tips.WINDOW_FRAMES
            ),
            io.Int.Input(
                "motion_frames", windows.motion_frames, min=1, max=WINDOW_FRAMES, tooltip=tips.MOTION_FRAMES
            ),
            io.Combo.Input("scheduler", options=[*OWN_SCHEDULES, *SCHEDULER_NAMES], tooltip=tips.SCHEDULER),
            io.Int.Input("steps", default=schedule.steps, min=1, max=200, tooltip=tips.STEPS),
            io.Float.Input("shift", default=schedule.shift, min=0.1, max=100.0, step=0.1, tooltip=tips.SHIFT),
            io.Combo.Input(
                "sampler_name", options=SAMPLER_NAMES, default=schedule.sampler, tooltip=tips.SAMPLER_NAME
            ),
            io.Float.Input("text_scale", default=guidance.text_scale, tooltip=tips.TEXT_SCALE, **scale),
            io.Float.Input("audio_scale", default=guidance.audio_scale, tooltip=tips.AUDIO_SCALE, **scale),
            io.Int.Input(
                "seed", default=0, min=0, max=2**63 - 1, control_after_generate=True, tooltip=tips.SEED
            ),
            io.Combo.Input("output", options=[form.value for form in OutputForm], tooltip=tips.OUTPUT),
            io.String.Input("filename_prefix", default="EverTalk/talk", tooltip=tips.FILENAME_PREFIX),
        ]

    @classmethod
    def check_lazy_status(cls, **inputs: Any) -> list[str]:
        """Refuse what can be refused without weights; then ask for the sockets that bring them."""
        plan_run(
            SamplerWidgets.of(inputs),
            inputs["audio_embeds"],
            inputs["start_image"],
            has_negative="negative" in inputs,
        )
        return [name for name in LAZY_SOCKETS if name in inputs and inputs[name] is None]

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        positive: io.Conditioning.CondList,
        vae: io.Vae.Type,
        audio_embeds: AudioEmbedsSocket.Type,
        start_image: io.Image.Type,
        negative: io.Conditioning.CondList | None = None,
        clip_vision_output: io.ClipVisionOutput.Type | None = None,
        **widgets: Any,
    ) -> io.NodeOutput:
        """Run all windows; the video is on disk when this returns."""
        asked = SamplerWidgets.of(widgets)
        plan = plan_run(asked, audio_embeds, start_image, has_negative=negative is not None)
        cast = Cast(model, vae, positive, negative or positive, lambda _frame: clip_vision_output)
        if asked.form is OutputForm.LATENT:
            return io.NodeOutput(latent_result(plan, play(plan, cast, None)))
        path = output_file(asked.filename_prefix, plan.size.width_px, plan.size.height_px)
        metadata = run_metadata(cls.hidden.prompt, cls.hidden.extra_pnginfo)
        sound = plan.embeds.sound
        with VideoWriter(path, plan.size.width_px, plan.size.height_px, sound, metadata=metadata) as writer:
            play(plan, cast, writer)
        return io.NodeOutput(saved_result(plan, path))
