"""Node: a clip that is given other speech, as a whole or in a region that goes back into it."""

from contextlib import closing
from typing import Any

from comfy_api.latest import io, ui

from ..multitalk.dubbing.box_preview import preview_region
from ..multitalk.dubbing.clip import DubSource, worked_on
from ..multitalk.dubbing.crop import CONTEXT
from ..multitalk.dubbing.region import checked_region
from ..multitalk.dubbing.source import SourceVideo
from ..multitalk.dubbing.work_region import WHOLE_PICTURE, WORK_REGION
from .host.codecs.clip import clip_of, find_scene_cuts
from .host.codecs.sound import audio_of, stop_if_asked, temp_folder
from .host.report.node import EverTalkNode
from .host.report.outputs import output_is_taken, taken_fingerprint
from .host.report.progress import show_on_node, warn_on_node
from .host.report.widgets import check_widgets
from .sockets import VideoSourceSocket
from .video_source_widgets import CUTS_DETECT, REGION, clip_widgets

AUDIO_SLOT = 1


class EverTalkVideoSource(EverTalkNode):
    """VIDEO -> the sampler's source; read frame by frame, never whole in memory."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Sockets, widgets, defaults and tooltips."""
        return io.Schema(
            node_id="EverTalkVideoSource",
            display_name="EverTalk Video Source",
            description="Dubbing: a clip whose lips are to follow other speech (or its own, from the audio "
            "output). The video lasts as long as the speech; where the clip is shorter, its last frame "
            "stays. Any frame rate: frames are found by time.",
            inputs=[
                io.Video.Input("video", tooltip="The clip, from Load Video. Read where it lies, as needed."),
                io.Mask.Input("region", optional=True, tooltip=REGION),
                *clip_widgets(),
            ],
            outputs=[
                VideoSourceSocket.Output("source", display_name="source", tooltip="For EverTalk Sampler."),
                io.Audio.Output(
                    display_name="audio",
                    tooltip="The clip's own sound, for EverTalk Audio Embeds. Read only if this is "
                    "connected; a clip without sound is refused then.",
                ),
                io.Image.Output(
                    display_name="first_frame",
                    tooltip="The frame that the video begins on: to draw masks over, or for CLIP Vision.",
                ),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.dynprompt],
        )

    @classmethod
    def fingerprint_inputs(cls, **_inputs: Any) -> bool | float:
        """The audio output is made when a later prompt takes it."""
        return taken_fingerprint(AUDIO_SLOT)

    @classmethod
    def execute(
        cls,
        video: io.Video.Type,
        scene_cuts: str,
        cut_threshold: float,
        denoise: float,
        feather_px: int,
        start_s: float,
        region: io.Mask.Type | None = None,
        **work: Any,
    ) -> io.NodeOutput:
        """Look at the clip, and find its cuts and the region's box if asked to."""
        widgets = {"scene_cuts": scene_cuts, "cut_threshold": cut_threshold, "start_s": start_s}
        check_widgets(cls, {**widgets, **work})
        clip = clip_of(video)
        locked = None if region is None else checked_region(region, feather_px)
        source = DubSource(clip, start_s, (), denoise, locked)
        is_region = work.get("work_on", WHOLE_PICTURE) == WORK_REGION
        context = work.get("context", CONTEXT)
        source = worked_on(source, work.get("region_box", ""), context, feather_px, is_region=is_region)
        # What is wrong has been refused: now comes what takes long.
        wants_audio = output_is_taken(cls.hidden.dynprompt, cls.hidden.unique_id, AUDIO_SLOT)
        audio = audio_and_warnings(clip, start_s) if wants_audio else None
        if scene_cuts == CUTS_DETECT:
            source = source.with_cuts(find_scene_cuts(clip, cut_threshold))
        show_on_node(str(source))
        outputs = (source, audio, source.first_frame()[None])
        if source.work is None:
            return io.NodeOutput(*outputs)
        with closing(clip.reader()) as reader:
            shown_BHWC = preview_region(reader, source.work, start_s)
        return io.NodeOutput(*outputs, ui=ui.PreviewImage(shown_BHWC, cls=cls))


def audio_and_warnings(clip: SourceVideo, start_s: float) -> dict[str, Any]:
    """The clip's own sound; says what is damaged of it."""
    sound = clip.sound(start_s, temp_folder(), stop_if_asked)
    for note in sound.notes:
        warn_on_node(note)
    return audio_of(sound)
