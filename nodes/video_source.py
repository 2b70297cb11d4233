"""Node: a clip that is given other speech."""

from dataclasses import replace
from typing import Any

from comfy_api.latest import io

from ..multitalk.dubbing.clip import DubSource
from ..multitalk.dubbing.cuts import CONTENT_THRESHOLD
from ..multitalk.dubbing.region import FEATHER_PX, checked_region
from ..multitalk.dubbing.source import SourceVideo
from .host.codecs.clip import clip_of, find_scene_cuts
from .host.codecs.sound import audio_of, stop_if_asked, temp_folder
from .host.compat.search_words import search_words
from .host.report.node import EverTalkNode
from .host.report.outputs import output_is_taken, taken_fingerprint
from .host.report.progress import show_on_node, warn_on_node
from .host.report.widgets import check_widgets
from .sockets import VideoSourceSocket

AUDIO_SLOT = 1
CUTS_OFF, CUTS_DETECT = "off", "detect"
MAX_FEATHER_PX = 256
MIN_DENOISE = 0.05
MAX_START_S = 86400.0

REGION = (
    "The part of the clip that may change, as a white mask over its frame: the face. Outside it the clip is "
    "kept. One mask, or one for each frame of the clip, at the clip's own frame rate, if it moves. Any size: "
    "it is stretched over the frame."
)
SCENE_CUTS = (
    "detect: look through the clip for cuts (PySceneDetect); windows begin afresh at each, from the new "
    "scene's own frame. off: the clip is one scene."
)
DENOISE = (
    "1: new frames, from one frame of the clip a window: head and body move freely. Below 1: every frame of "
    "the clip is made over, so that movement and light stay the clip's; try 0.5 to 0.8. With scheduler "
    "multitalk only those of its four timesteps run that are not above the level."
)


class EverTalkVideoSource(EverTalkNode):
    """VIDEO -> the sampler's source; read frame by frame, never whole in memory."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Sockets, widgets, defaults and tooltips."""
        return io.Schema(
            node_id="EverTalkVideoSource",
            display_name="EverTalk Video Source",
            category="EverTalk",
            description="Dubbing: a clip whose lips are to follow other speech (or its own, from the audio "
            "output). The video lasts as long as the speech; where the clip is shorter, its last frame "
            "stays. Any frame rate: frames are found by time.",
            **search_words("EverTalkVideoSource"),
            inputs=[
                io.Video.Input("video", tooltip="The clip, from Load Video. Read where it lies, as needed."),
                io.Mask.Input("region", optional=True, tooltip=REGION),
                io.Combo.Input("scene_cuts", options=[CUTS_OFF, CUTS_DETECT], tooltip=SCENE_CUTS),
                io.Float.Input(
                    "cut_threshold",
                    default=CONTENT_THRESHOLD,
                    min=1.0,
                    max=255.0,
                    step=0.5,
                    tooltip="How great a change from one frame to the next is a cut (PySceneDetect's content "
                    "threshold). Lower it if cuts are missed, raise it if movement counts as one.",
                ),
                io.Float.Input("denoise", default=1.0, min=MIN_DENOISE, max=1.0, step=0.01, tooltip=DENOISE),
                io.Int.Input(
                    "feather_px",
                    default=FEATHER_PX,
                    min=0,
                    max=MAX_FEATHER_PX,
                    tooltip="Width of the region's soft edge, outside the mask, in pixels of the video. "
                    "Beyond it the clip is kept unchanged.",
                ),
                io.Float.Input(
                    "start_s",
                    default=0.0,
                    min=0.0,
                    max=MAX_START_S,
                    step=0.04,
                    tooltip="Where in the clip the video begins, in seconds. The audio output begins there "
                    "too.",
                ),
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
    ) -> io.NodeOutput:
        """Look at the clip, and find its cuts if asked to."""
        check_widgets(cls, {"scene_cuts": scene_cuts, "cut_threshold": cut_threshold, "start_s": start_s})
        clip = clip_of(video)
        locked = None if region is None else checked_region(region, feather_px)
        source = DubSource(clip, start_s, (), denoise, locked)
        wants_audio = output_is_taken(cls.hidden.dynprompt, cls.hidden.unique_id, AUDIO_SLOT)
        audio = audio_and_warnings(clip, start_s) if wants_audio else None
        if scene_cuts == CUTS_DETECT:
            source = replace(source, cuts_s=find_scene_cuts(clip, cut_threshold))
        show_on_node(str(source))
        return io.NodeOutput(source, audio, source.first_frame()[None])


def audio_and_warnings(clip: SourceVideo, start_s: float) -> dict[str, Any]:
    """The clip's own sound; says what is damaged of it."""
    sound = clip.sound(start_s, temp_folder(), stop_if_asked)
    for note in sound.notes:
        warn_on_node(note)
    return audio_of(sound)
