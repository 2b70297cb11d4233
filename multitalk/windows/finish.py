"""How a run's frames are finished: colours, joins, and the move of the camera."""

from dataclasses import dataclass, field, replace

from ..common.errors import InputError
from .camera import CameraMove
from .colour import ColourMethod
from .settings import WindowSettings


@dataclass(frozen=True, slots=True)
class LookSettings:
    """What is done to frames, and how the picture that conditions them moves.

    Attributes:
        colour: how each frame's colours are matched to the first picture of the run; None leaves them.
        colour_strength: share of the match, 0..1.
        blend_frames: at each join, how many of the last frames that two windows share go over from the one's
            rendering to the other's; 0 keeps the first.
        camera: the move over the picture.
    """

    colour: ColourMethod | None = None
    colour_strength: float = 1.0
    blend_frames: int = 0
    camera: CameraMove = field(default_factory=CameraMove)

    def __post_init__(self) -> None:
        if not 0 <= self.colour_strength <= 1:
            raise InputError(
                f"colour_strength is {self.colour_strength:g}; give a number from 0 (off) to 1 (full match)"
            )
        if self.blend_frames < 0:
            raise InputError(f"blend_frames is {self.blend_frames}; give 0 (off) or more")

    @property
    def matches_colour(self) -> bool:
        """Whether colours change at all."""
        return self.colour is not None and self.colour_strength > 0


def look_for_windows(
    look: LookSettings, windows: WindowSettings, dropped_frames: int = 0
) -> tuple[LookSettings, tuple[str, ...]]:
    """The look with as many blended frames as the windows share, and a sentence if that is fewer.

    Args:
        look: as it was asked for.
        windows: their form.
        dropped_frames: how many of its last frames each window lets go.
    """
    added = windows.window_frames - windows.motion_frames - dropped_frames
    limit = min(windows.motion_frames, added - 1)
    if look.blend_frames <= limit:
        return look, ()
    note = (
        f"blend_frames {look.blend_frames} became {limit}: windows of {windows.window_frames} frames with "
        f"{windows.motion_frames} motion frames have no more to blend"
    )
    return replace(look, blend_frames=limit), (note,)
