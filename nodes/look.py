"""The look node: colours, joins, and a slow move of the camera."""

from comfy_api.latest import io

from ..multitalk.common.types import WINDOW_FRAMES
from ..multitalk.windows.camera import MAX_PAN_PERCENT, MAX_ZOOM, CameraMove
from ..multitalk.windows.colour import ColourMethod
from ..multitalk.windows.finish import LookSettings
from .host.report.node import EverTalkNode
from .host.report.widgets import check_widgets
from .sockets import LookSocket

COLOUR_OFF = "off"
DEFAULTS = LookSettings()


class EverTalkLook(EverTalkNode):
    """How frames are finished and how the picture moves."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Widgets, defaults and tooltips."""
        return io.Schema(
            node_id="EverTalkLook",
            display_name="EverTalk Look",
            description="Keeps colours where the first picture has them, softens joins between windows, and "
            "moves the camera slowly over the picture, which helps long videos.",
            inputs=[
                io.Combo.Input(
                    "colour_match",
                    options=[COLOUR_OFF, *(method.value for method in ColourMethod)],
                    default=DEFAULTS.colour.value if DEFAULTS.colour else COLOUR_OFF,
                    tooltip="Matches each frame's colours to the run's first picture, before the next window "
                    "continues from it. lab: mean and spread, as the weights' authors do it. mkl: their "
                    "correlations too. Usual: off with InfiniteTalk, mkl with MultiTalk.",
                ),
                io.Float.Input(
                    "colour_strength",
                    default=DEFAULTS.colour_strength,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="Share of the colour match: 0 is off, 1 is full.",
                ),
                io.Int.Input(
                    "blend_frames",
                    default=DEFAULTS.blend_frames,
                    min=0,
                    max=WINDOW_FRAMES,
                    tooltip="Softens each join: how many of the frames that two windows share are blended. "
                    "At most motion_frames; 0 is off. The length stays.",
                ),
                io.Float.Input(
                    "zoom",
                    default=DEFAULTS.camera.zoom,
                    min=1 / MAX_ZOOM,
                    max=MAX_ZOOM,
                    step=0.01,
                    tooltip="How many times closer the video ends than it begins: 1.1 moves in by a tenth, "
                    "0.9 moves out, 1 stays. InfiniteTalk only.",
                ),
                pan_input("pan_x", DEFAULTS.camera.pan_x_percent, "to the right, in percent of its width"),
                pan_input("pan_y", DEFAULTS.camera.pan_y_percent, "down, in percent of its height"),
            ],
            outputs=[LookSocket.Output(display_name="look", tooltip="For EverTalk Sampler.")],
        )

    @classmethod
    def execute(
        cls,
        colour_match: str,
        colour_strength: float,
        blend_frames: int,
        zoom: float,
        pan_x: float,
        pan_y: float,
    ) -> io.NodeOutput:
        """Gather the widgets."""
        check_widgets(cls, {"colour_match": colour_match})
        method = None if colour_match == COLOUR_OFF else ColourMethod(colour_match)
        return io.NodeOutput(
            LookSettings(method, colour_strength, blend_frames, CameraMove(zoom, pan_x, pan_y))
        )


def pan_input(name: str, default: float, direction: str) -> io.Float.Input:
    """How far the camera moves one way."""
    return io.Float.Input(
        name,
        default=default,
        min=-MAX_PAN_PERCENT,
        max=MAX_PAN_PERCENT,
        step=1.0,
        tooltip=f"How far the view moves over the picture in the whole video, {direction}; below 0 the other "
        "way. The view is made smaller by as much. InfiniteTalk only.",
    )
