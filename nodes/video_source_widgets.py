"""The widgets of EverTalk Video Source."""

from comfy_api.latest import io

from ..multitalk.dubbing.crop import CONTEXT, MAX_CONTEXT
from ..multitalk.dubbing.cuts import CONTENT_THRESHOLD
from ..multitalk.dubbing.region import FEATHER_PX
from ..multitalk.dubbing.work_region import WHOLE_PICTURE, WORK_REGION

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
WORK_ON = (
    "whole picture: the video has the sampler's size and 25 frames a second. region: the region alone is "
    "made to talk, at the sampler's size, and goes back into the clip's own frames, at their size and frame "
    "rate; what is outside stays the clip's."
)
REGION_BOX = (
    "With work_on region, instead of a mask: the face's box x,y,width,height in percent of the clip's frame, "
    "or in pixels; if it moves, with times in the clip: 0s: 30%,20%,25%,40%; 4s: 50%,20%,25%,40%."
)
AROUND = (
    "With work_on region: how much around the region the weights see, on each side, as a part of its longer "
    "side. A face needs its head and shoulders."
)
CUT_THRESHOLD = (
    "How great a change from one frame to the next is a cut (PySceneDetect's content threshold). Lower it if "
    "cuts are missed, raise it if movement counts as one."
)


def clip_widgets() -> list[io.Input]:
    """All widgets, in the order in which the editor shows them."""
    return [
        io.Combo.Input("scene_cuts", options=[CUTS_OFF, CUTS_DETECT], tooltip=SCENE_CUTS),
        io.Float.Input(
            "cut_threshold",
            default=CONTENT_THRESHOLD,
            min=1.0,
            max=255.0,
            step=0.5,
            tooltip=CUT_THRESHOLD,
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
            tooltip="Where in the clip the video begins, in seconds. The audio output begins there too.",
        ),
        io.Combo.Input("work_on", options=[WHOLE_PICTURE, WORK_REGION], optional=True, tooltip=WORK_ON),
        io.String.Input("region_box", default="", optional=True, tooltip=REGION_BOX),
        io.Float.Input(
            "context",
            default=CONTEXT,
            min=0.0,
            max=MAX_CONTEXT,
            step=0.05,
            optional=True,
            tooltip=AROUND,
        ),
    ]
