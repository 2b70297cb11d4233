"""Node: up to four voices, and where their speakers are in the picture."""

from typing import Any

import torch
from comfy_api.latest import io

from ..multitalk.common.errors import InputError
from ..multitalk.common.mask_places import SPEAKER_NAMES
from ..multitalk.speakers.assembly import Arrangement, SpeakerInputs, make_speakers
from ..multitalk.speakers.preview import preview_speakers
from ..multitalk.windows.picture import checked_picture
from .host.codecs.sound import audio_of, waveform_of
from .host.report.node import EverTalkNode
from .host.report.progress import warn_on_node
from .host.report.widgets import check_widgets
from .sockets import SpeakersSocket

# Fixed sockets instead of growing ones: of ComfyUI 0.3.75's `AutogrowDynamic` its frontend (1.32.9) knows
# nothing, so that all sockets show at once anyhow, and their names (`audio1_$voices_ag$`) are others in later
# releases, so that saved workflows would lose their links.
LETTERS = tuple(name.lower() for name in SPEAKER_NAMES)
AUDIO_SOCKETS = tuple(f"audio_{letter}" for letter in LETTERS)
MASK_SOCKETS = tuple(f"mask_{letter}" for letter in LETTERS)

DESCRIPTION = (
    "Who speaks when, and where they are. The weights know two speakers; with three or four, each window "
    "hears the two that speak most in it, which is extrapolation."
)
ARRANGEMENT = (
    "para: all sounds start together. add: one after the other. timeline: audio_a alone, divided among the "
    "speakers by the timeline below."
)
TIMELINE = (
    "With arrangement timeline: who speaks when, for instance 0:00-0:07 A; 0:07-0:12 B; 0:12-0:20 A+B. Where "
    "nobody is named, everybody is silent; the video's sound stays as it is."
)
BOXES = (
    "Instead of masks: one box x,y,width,height for each speaker, separated by ; and all in pixels of the "
    "start image (120,40,300,400) or all in percent (10%,5%,40%,90%). Empty, and no masks: two speakers are "
    "the left and the right half."
)
START_IMAGE = "The picture that the sampler gets; for the preview, and to check masks and boxes against it."


class EverTalkSpeakers(EverTalkNode):
    """AUDIO and MASK of each speaker -> speakers, the mixed sound, and a picture of who is where."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EverTalkSpeakers",
            display_name="EverTalk Speakers",
            description=DESCRIPTION,
            inputs=[
                *(
                    io.Audio.Input(
                        socket,
                        optional=True,
                        tooltip=f"What speaker {name} says. A speaker who has a mask or box but no sound is "
                        "silent.",
                    )
                    for socket, name in zip(AUDIO_SOCKETS, SPEAKER_NAMES, strict=True)
                ),
                *(
                    io.Mask.Input(
                        socket,
                        optional=True,
                        tooltip=f"Where speaker {name} is in the start image; it may cover the person "
                        "loosely. One mask, or one for each video frame where the person moves.",
                    )
                    for socket, name in zip(MASK_SOCKETS, SPEAKER_NAMES, strict=True)
                ),
                io.Image.Input("start_image", optional=True, tooltip=START_IMAGE),
                io.Combo.Input(
                    "arrangement",
                    options=[arrangement.value for arrangement in Arrangement],
                    default=Arrangement.PARA.value,
                    tooltip=ARRANGEMENT,
                ),
                io.String.Input("timeline", default="", multiline=True, tooltip=TIMELINE),
                io.String.Input("boxes", default="", tooltip=BOXES),
            ],
            outputs=[
                SpeakersSocket.Output("speakers", display_name="speakers"),
                io.Audio.Output("audio", display_name="audio", tooltip="The sound of the video."),
                io.Image.Output("preview", display_name="preview", tooltip="Who is where."),
            ],
        )

    @classmethod
    def execute(
        cls,
        arrangement: str,
        timeline: str,
        boxes: str,
        start_image: io.Image.Type | None = None,
        **sockets: Any,
    ) -> io.NodeOutput:
        check_widgets(cls, {"arrangement": arrangement, "timeline": timeline, "boxes": boxes})
        given = SpeakerInputs(
            audios=tuple(
                waveform_of(sockets[name], name) if name in sockets else None for name in AUDIO_SOCKETS
            ),
            masks=tuple(mask_of(sockets[name], name) if name in sockets else None for name in MASK_SOCKETS),
            arrangement=Arrangement(arrangement),
            timeline=timeline,
            boxes=boxes,
        )
        picture_HWC = None if start_image is None else checked_picture(start_image)[0].cpu()
        speakers = make_speakers(given)
        preview_HWC, notes = preview_speakers(speakers, picture_HWC)
        for note in notes:
            warn_on_node(note)
        return io.NodeOutput(speakers, audio_of(speakers.sound), preview_HWC[None])


def mask_of(mask: object, socket: str) -> torch.Tensor:
    """The values of a MASK.

    Raises:
        InputError: the node before gave something else, or nothing.
    """
    if not isinstance(mask, torch.Tensor):
        raise InputError(
            f"{socket}: got {type(mask).__name__}, expected a MASK; connect the mask of Load Image, or "
            "disconnect it"
        )
    return mask.float().cpu()
