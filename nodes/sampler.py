"""The sampler node: speech and a picture in, a talking video out."""

from typing import Any

from comfy_api.latest import io

from . import sampler_tooltips as tips
from .host.report.node import EverTalkNode, check_fetched
from .host.report.widgets import check_widgets
from .host.run.job import Job
from .host.run.options import RunOptions
from .host.run.plan import PLANNER, PlanInputs
from .host.run.posted_modes import check_posted_scheduler
from .host.run.preflight import PREFLIGHTS
from .host.run.request import OutputForm, SamplerWidgets
from .host.run.review import REVIEWS
from .host.run.summary import with_summary
from .host.run.windowed_run import latent_run, saved_run
from .host.sampling.clip_vision import seeing
from .host.sampling.comfy_backend import RunModels
from .host.sampling.schedule import prompts_of
from .host.server.queued import check_queued_prefix
from .sampler_widgets import sampler_widgets
from .sockets import AudioEmbedsSocket, GuidanceSocket, LookSocket, ScheduleSocket, VideoSourceSocket

LAZY_SOCKETS = ("model", "positive", "vae", "negative", "clip_vision_output", "clip_vision")
"""Evaluated only after everything else was found good, so that bad input is refused before weights load."""


class EverTalkSampler(EverTalkNode):
    """Samples window after window and writes the video as they are made."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Sockets, widgets, defaults and tooltips."""
        return io.Schema(
            node_id="EverTalkSampler",
            display_name="EverTalk Sampler",
            description=tips.NODE,
            inputs=[*cls.socket_inputs(), *sampler_widgets()],
            outputs=[io.Latent.Output(display_name="samples", tooltip=tips.SAMPLES)],
            # With the node's id the host caches each of two equal samplers for itself: both tell their run.
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo, io.Hidden.unique_id],
            is_output_node=True,  # it writes the file, also where nothing takes its output
        )

    @classmethod
    def socket_inputs(cls) -> list[io.Input]:
        """What other nodes give."""
        return [
            io.Model.Input("model", lazy=True, tooltip=tips.MODEL),
            io.Conditioning.Input("positive", lazy=True, tooltip=tips.POSITIVE),
            io.Vae.Input("vae", lazy=True, tooltip=tips.VAE),
            AudioEmbedsSocket.Input("audio_embeds", lazy=True, tooltip=tips.AUDIO_EMBEDS),
            io.Image.Input("start_image", optional=True, tooltip=tips.START_IMAGE),
            io.Conditioning.Input("negative", optional=True, lazy=True, tooltip=tips.NEGATIVE),
            io.ClipVisionOutput.Input(
                "clip_vision_output", optional=True, lazy=True, tooltip=tips.CLIP_VISION_OUTPUT
            ),
            GuidanceSocket.Input("guidance", optional=True, tooltip=tips.GUIDANCE),
            ScheduleSocket.Input("schedule", optional=True, lazy=True, tooltip=tips.SCHEDULE),
            LookSocket.Input("look", optional=True, tooltip=tips.LOOK),
            io.ClipVision.Input("clip_vision", optional=True, lazy=True, tooltip=tips.CLIP_VISION),
            VideoSourceSocket.Input("source", optional=True, tooltip=tips.SOURCE),
        ]

    @classmethod
    def validate_inputs(cls, filename_prefix: str | None = None) -> None:
        """Refuse, when the workflow is queued, a name that no file can have."""
        check_queued_prefix(filename_prefix)

    @classmethod
    def check_lazy_status(cls, **inputs: Any) -> list[str]:
        """Refuse what can be refused without weights; then ask for the sockets that bring them.

        Widgets and picture come first, then the speech, whose encoder is small, then the schedule, whose
        prompts a text encoder may have to load for, then all others.
        """
        check_widgets(cls, inputs)
        asked, options = SamplerWidgets.of(inputs), RunOptions.of(inputs)
        Job.of(cls.hidden).check(asked)
        speech, picture = inputs["audio_embeds"], inputs.get("start_image")
        run = PlanInputs(asked, speech, picture, options, "negative" in inputs)
        PLANNER.check(run)
        if speech is None:
            return ["audio_embeds"]
        plan = PLANNER.plan(run)
        if "schedule" in inputs and options.schedule is None:
            return ["schedule"]
        unused = set[str]() if asked.needs_positive(options) else {"positive"}
        if "clip_vision" in inputs:
            unused.add("clip_vision_output")
        missing = [
            name for name in LAZY_SOCKETS if name in inputs and inputs[name] is None and name not in unused
        ]
        if "model" in missing:
            check_posted_scheduler(asked.scheduler)
        if missing:
            PREFLIGHTS.show(plan, asked)
        return missing

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        positive: io.Conditioning.CondList | None,
        vae: io.Vae.Type,
        audio_embeds: AudioEmbedsSocket.Type,
        start_image: io.Image.Type | None = None,
        negative: io.Conditioning.CondList | None = None,
        **others: Any,
    ) -> io.NodeOutput:
        """Run all windows; the video is on disk when this returns."""
        asked, options = SamplerWidgets.of(others), RunOptions.of(others)
        prompt = {"positive": positive} if asked.needs_positive(options) else {}
        check_fetched(cls, model=model, vae=vae, audio_embeds=audio_embeds, **prompt)
        plan = PLANNER.take(PlanInputs(asked, audio_embeds, start_image, options, negative is not None))
        see = seeing(others)
        run_models = RunModels(
            model, vae, prompts_of(positive, options.schedule, plan.is_clip), negative, see
        )
        if asked.form is OutputForm.LATENT:
            return with_summary(plan, run_models, lambda: latent_run(plan, run_models))
        output_options = Job.of(cls.hidden).output_options(plan, asked)
        return with_summary(plan, run_models, lambda: saved_run(plan, run_models, output_options))

    @classmethod
    def fingerprint_inputs(cls, **_inputs: Any) -> int:
        """A run that paused, or whose file is gone, is run when the same workflow is queued again."""
        return REVIEWS.fingerprint()
