"""What FlashTalk's weights insist on beside one unguided voice, and what their authors recommend.

SoulX-FlashTalk is InfiniteTalk's network, distilled to four or two steps; the first frames of every window
are not to be seen. Source: Soul-AILab/SoulX-FlashTalk, flash_talk/src/pipeline/flash_talk_pipeline.py and
flash_talk/configs/infer_params.yaml.
"""

from ..common.errors import InputError
from ..common.types import LiveForm
from .settings import WindowSettings
from .whole_model import CALLED, WholeModel

WINDOWS = WindowSettings(window_frames=33, motion_frames=5)
WIDTH_PX, HEIGHT_PX = 448, 768
"""The form of windows and the size that the weights were distilled on."""

PROMPT = "A person is talking. Only the foreground characters are moving, the background remains static."
"""The prompt that the weights were distilled with."""

MODEL = WholeModel(CALLED["flashtalk"], WINDOWS)


def check_live_windows(form: LiveForm | None, windows: WindowSettings, *, leads: bool, cuts: bool) -> None:
    """Refuse windows that do not fit the chunks that speech was heard by.

    Raises:
        InputError: names what came and what to choose.
    """
    if form is None:
        return
    if not leads:
        came = "a scheduler that is none of FlashTalk's"
    elif cuts:
        came = "a source with scene cuts, where windows begin afresh"
    elif windows != WindowSettings(form.window_frames, form.motion_frames):
        came = f"windows of {windows.window_frames} with {windows.motion_frames}"
    else:
        return
    raise InputError(
        f"audio_embeds: the speech was heard as a stream, for FlashTalk's windows of {form.window_frames} "
        f"frames with {form.motion_frames} motion frames, but the sampler has {came}. Choose hearing whole "
        "on EverTalk Audio Embeds, or windows of that form."
    )
