"""The node that turns what a sampler returned into frames and a video."""

import logging
from typing import Any

from comfy_api.latest import io

from ..multitalk.media.result import classify, describe, needs_vae, note_of, windows_of
from .advanced import advanced
from .host.codecs.result import open_result, preview_ui
from .host.report.node import EverTalkNode
from .host.report.outputs import output_is_taken, taken_fingerprint
from .host.report.progress import show_on_node
from .host.run.chart_file import WRITES, write_chart
from .host.run.summary import ui_of

LOG = logging.getLogger("evertalk")

_IMAGE_SLOT = 0
_NOT_CONNECTED = object()


class EverTalkDecode(EverTalkNode):
    """Looks what the socket carries before it touches the VAE: a finished video needs none."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EverTalkDecode",
            display_name="EverTalk Decode",
            description="Gives the video that the sampler made. A finished video is passed on as it is and "
            "needs no VAE; raw latents are decoded. Takes what EverTalkSampler, WanVideoWrapper's sampler "
            "and ComfyUI's samplers return.",
            inputs=[
                io.Latent.Input(
                    "samples", tooltip="What the sampler returned: a finished video, or latents."
                ),
                io.Vae.Input(
                    "vae",
                    optional=True,
                    lazy=True,
                    tooltip="Decodes raw latents. For a finished video it is not needed, and if it is "
                    "connected, it is not even loaded. (Raw latents of WanVideoWrapper have another scale: "
                    "convert them with its WanVideoLatentReScale first.)",
                ),
                advanced(
                    io.Boolean.Input(
                        "chart",
                        default=False,
                        optional=True,
                        tooltip="Also write NAME_chart.svg beside the sampler's video: colour drift and "
                        "joins of all windows, as the sampler shows them when the run ends.",
                    )
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="images",
                    tooltip="All frames. Read into memory only if this output is connected: a minute of "
                    "832x480 takes 7 GB.",
                ),
                io.Video.Output(
                    display_name="video",
                    tooltip="The video with its sound, for Save Video. A finished file is not encoded again.",
                ),
                io.String.Output(
                    display_name="output_path",
                    tooltip="Where the sampler saved the video; empty if it saved none (raw latents, frames "
                    "in memory).",
                ),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.dynprompt],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, samples: Any = None, vae: Any = None, chart: bool | None = False) -> float:  # noqa: ARG003
        taken = taken_fingerprint(_IMAGE_SLOT)
        # The host runs the node again for a chart that could not be written. `taken` is 0, 1 or NaN.
        return taken + 2 * WRITES.failed if chart else taken

    @classmethod
    def check_lazy_status(cls, samples: Any, vae: Any = _NOT_CONNECTED, chart: bool = False) -> list[str]:  # noqa: ARG003
        return ["vae"] if vae is None and needs_vae(samples) else []

    @classmethod
    def execute(cls, samples: Any, vae: Any = None, chart: bool = False) -> io.NodeOutput:
        LOG.info("Processing sampler output...")
        LOG.info("%s", describe(samples))
        result = classify(samples)
        if note_of(samples):
            show_on_node(note_of(samples))
        want_images = output_is_taken(cls.hidden.dynprompt, cls.hidden.unique_id, _IMAGE_SLOT)
        opened = open_result(result, vae, want_images=want_images)
        if chart:
            write_chart(windows_of(samples), opened.output_path)
        shown = ui_of(samples, preview_ui(opened.preview))
        return io.NodeOutput(opened.images_FHWC, opened.video, opened.output_path, ui=shown)
