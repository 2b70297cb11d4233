"""What FlashTalk's weights insist on, and what their authors recommend.

SoulX-FlashTalk is InfiniteTalk's network, distilled to four or two steps: its noise levels, their shift and
the way of stepping belong to the weights, there is no guidance, one person speaks, and the first frames of
every window are not to be seen. Source: Soul-AILab/SoulX-FlashTalk,
flash_talk/src/pipeline/flash_talk_pipeline.py and flash_talk/configs/infer_params.yaml.
"""

from dataclasses import replace

from ..common.errors import InputError
from ..common.types import LiveForm
from ..model.guidance import GuidanceSettings
from ..speech.embeds import AudioEmbeds
from .colour import ColourMethod
from .finish import LookSettings
from .settings import FLASHTALK_2_SCHEDULE, FLASHTALK_SCHEDULE, WindowSettings, is_flashtalk

WINDOWS = WindowSettings(window_frames=33, motion_frames=5)
WIDTH_PX, HEIGHT_PX = 448, 768
"""The form of windows and the size that the weights were distilled on."""

PROMPT = "A person is talking. Only the foreground characters are moving, the background remains static."
"""The prompt that the weights were distilled with."""


def check_speakers(embeds: AudioEmbeds) -> None:
    """Refuse what one voice without a place has no use for.

    Raises:
        InputError: several speakers, or a mask.
    """
    speakers = len(embeds.tracks_NLC)
    if speakers > 1 or embeds.places:
        given = f"{speakers} speakers" if speakers > 1 else "a speaker's place in the picture"
        raise InputError(
            f"audio_embeds: {given}, but FlashTalk's weights know one voice, which moves the whole picture. "
            "Connect the sound to audio of EverTalk Audio Embeds, or use InfiniteTalk or MultiTalk weights."
        )


def check_sockets(*, negative: bool, guidance: bool) -> None:
    """Refuse what has no effect on weights that are distilled without guidance.

    Raises:
        InputError: one of them is connected.
    """
    for name, connected in (("negative", negative), ("guidance", guidance)):
        if connected:
            raise InputError(
                f"{name}: something is connected, but FlashTalk's weights are distilled without guidance: it "
                "would have no effect. Disconnect it."
            )


def unguided(asked: GuidanceSettings) -> tuple[GuidanceSettings, tuple[str, ...]]:
    """No guidance, and a sentence for scales that were asked for and are not used."""
    if (asked.text_scale, asked.audio_scale) == (1, 1):
        return GuidanceSettings(), ()
    note = (
        f"FlashTalk's weights are distilled without guidance: text_scale {asked.text_scale:g} and "
        f"audio_scale {asked.audio_scale:g} are not used"
    )
    return GuidanceSettings(), (note,)


def look_of(asked: LookSettings | None) -> tuple[LookSettings, tuple[str, ...]]:
    """Colours matched to the picture unless the person decides otherwise; says when they do."""
    if asked is None:
        return replace(LookSettings(), colour=ColourMethod.LAB), ()
    if asked.matches_colour:
        return asked, ()
    note = (
        "look: it leaves colours as they are; FlashTalk's authors match them to the picture (colour lab, "
        "strength 1), since they drift from window to window without"
    )
    return asked, (note,)


def window_notes(windows: WindowSettings) -> tuple[str, ...]:
    """A sentence about windows of another form than the weights were distilled on."""
    if windows == WINDOWS:
        return ()
    note = (
        f"windows of {windows.window_frames} frames with {windows.motion_frames} motion frames: FlashTalk's "
        f"weights were distilled on {WINDOWS.window_frames} with {WINDOWS.motion_frames}. Set window_frames "
        f"to {WINDOWS.window_frames} and motion_frames to {WINDOWS.motion_frames}"
    )
    return (note,)


def check_scheduler(mode: str, scheduler: str, model: str) -> None:
    """Refuse weights and a scheduler of which only one is FlashTalk's.

    Raises:
        InputError: names both, and what to choose.
    """
    if mode == "flashtalk" and not is_flashtalk(scheduler):
        raise InputError(
            f"scheduler: {scheduler}, but {model} is loaded with mode flashtalk, whose noise levels belong "
            f"to the weights. Choose {FLASHTALK_SCHEDULE} (4 steps) or {FLASHTALK_2_SCHEDULE} (2 steps)."
        )
    if mode != "flashtalk" and is_flashtalk(scheduler):
        raise InputError(
            f"scheduler: {scheduler} belongs to FlashTalk's weights, but {model} is loaded with mode {mode}. "
            "Choose another scheduler, or load FlashTalk's weights (mode flashtalk)."
        )


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
