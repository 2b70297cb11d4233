"""What published models with their audio weights inside insist on, whichever they are.

They are distilled to few steps: noise levels, their shift and the way of stepping belong to the weights, one
person speaks, and nothing is guided.
"""

from dataclasses import dataclass, replace

from ..common.errors import InputError
from ..model.checkpoint import TalkMode
from ..model.guidance import GuidanceSettings
from ..speech.embeds import AudioEmbeds
from .colour import ColourMethod
from .finish import LookSettings
from .settings import BOUND_SCHEDULES, WindowSettings


@dataclass(frozen=True, slots=True)
class WholeModel:
    """A model whose weights know one unguided voice.

    Attributes:
        name: as people call it.
        windows: the form of windows that the weights were trained on.
    """

    name: str
    windows: WindowSettings

    def check_speakers(self, embeds: AudioEmbeds) -> None:
        """Refuse what one voice without a place has no use for.

        Raises:
            InputError: several speakers, or a mask.
        """
        speakers = len(embeds.tracks_NLC)
        if speakers > 1 or embeds.places:
            given = f"{speakers} speakers" if speakers > 1 else "a speaker's place in the picture"
            raise InputError(
                f"audio_embeds: {given}, but {self.name}'s weights know one voice, which moves the whole "
                "picture. Connect the sound to audio of EverTalk Audio Embeds, or use InfiniteTalk or "
                "MultiTalk weights."
            )

    def check_sockets(self, *, negative: bool, guidance: bool) -> None:
        """Refuse what has no effect on weights that run without guidance.

        Raises:
            InputError: one of them is connected.
        """
        for name, connected in (("negative", negative), ("guidance", guidance)):
            if connected:
                raise InputError(
                    f"{name}: something is connected, but {self.name}'s weights run without guidance: it "
                    "would have no effect. Disconnect it."
                )

    def unguided(self, asked: GuidanceSettings) -> tuple[GuidanceSettings, tuple[str, ...]]:
        """No guidance, and a sentence for scales that were asked for and are not used."""
        if (asked.text_scale, asked.audio_scale) == (1, 1):
            return GuidanceSettings(), ()
        note = (
            f"{self.name}'s weights run without guidance: text_scale {asked.text_scale:g} and audio_scale "
            f"{asked.audio_scale:g} are not used"
        )
        return GuidanceSettings(), (note,)

    def look_of(self, asked: LookSettings | None) -> tuple[LookSettings, tuple[str, ...]]:
        """Colours matched to the picture unless the person decides otherwise; says when they do."""
        if asked is None:
            return replace(LookSettings(), colour=ColourMethod.LAB), ()
        if asked.matches_colour:
            return asked, ()
        note = (
            f"look: it leaves colours as they are; {self.name}'s authors match them to the picture (colour "
            "lab, strength 1), since they drift from window to window without"
        )
        return asked, (note,)

    def window_notes(self, windows: WindowSettings) -> tuple[str, ...]:
        """A sentence about windows of another form than the weights were trained on."""
        if windows == self.windows:
            return ()
        trained = self.windows
        note = (
            f"windows of {windows.window_frames} frames with {windows.motion_frames} motion frames: "
            f"{self.name}'s weights were trained on {trained.window_frames} with {trained.motion_frames}. "
            f"Set window_frames to {trained.window_frames} and motion_frames to {trained.motion_frames}"
        )
        return (note,)


CALLED: dict[TalkMode, str] = {"flashtalk": "FlashTalk", "skyreels": "SkyReels-V3"}
"""The models whose schedules belong to their weights."""


def check_scheduler(mode: str, scheduler: str, model: str) -> None:
    """Refuse weights and a scheduler that belongs to others.

    Raises:
        InputError: names both, and what to choose.
    """
    theirs = [name for name, bound in BOUND_SCHEDULES.items() if bound.mode == mode]
    if theirs and scheduler not in theirs:
        offered = " or ".join(f"{name} ({len(BOUND_SCHEDULES[name].timesteps)} steps)" for name in theirs)
        raise InputError(
            f"scheduler: {scheduler}, but {model} is loaded with mode {mode}, whose noise levels belong to "
            f"the weights. Choose {offered}."
        )
    bound = BOUND_SCHEDULES.get(scheduler)
    if bound is not None and bound.mode != mode:
        owner = CALLED[bound.mode]
        raise InputError(
            f"scheduler: {scheduler} belongs to {owner}'s weights, but {model} is loaded with mode {mode}. "
            f"Choose another scheduler, or load {owner}'s weights (mode {bound.mode})."
        )
