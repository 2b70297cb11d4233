"""The numbers of a run: their defaults, their limits, and what is made of them when they do not fit.

Snapped numbers come with a sentence that says so; numbers that contradict each other are refused.
"""

import math
from dataclasses import dataclass, replace

from ...wanvideo.geometry import SIZE_MULTIPLE, TIME_STRIDE, snap_frames, snap_size
from ...wanvideo.schedule import MULTITALK_TIMESTEPS
from ..common.errors import InputError
from ..common.types import MOTION_FRAMES, WINDOW_FRAMES

MULTITALK_SCHEDULE = "multitalk"
INFINITETALK_SCHEDULE = "infinitetalk"
OWN_SCHEDULES = (MULTITALK_SCHEDULE, INFINITETALK_SCHEDULE)
FIXED_STEPS = f"scheduler {MULTITALK_SCHEDULE} always runs its"
"""How the sentence begins that is told of every such run: it says how things are, and warns of nothing."""

MIN_WINDOW_FRAMES = 2 * TIME_STRIDE + 1
MAX_SIZE_PX = 4096


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """How the video is cut into windows.

    Attributes:
        window_frames: frames of one window, 4n+1.
        motion_frames: frames a later window takes over from the one before, 4n+1, fewer than window_frames.
    """

    window_frames: int = WINDOW_FRAMES
    motion_frames: int = MOTION_FRAMES


@dataclass(frozen=True, slots=True)
class NoiseSchedule:
    """The noise levels that a window is sampled at.

    Attributes:
        scheduler: `multitalk` (four fixed timesteps), `infinitetalk` (evenly spaced), or one of the host's.
        steps: how many; `multitalk` does not use it.
        shift: moves the levels toward noise; 11 with the lightx2v LoRA or at 720p, 7 at 480p, 2 with FusionX.
        sampler: the host's sampler.
        denoise: part of the way from noise to picture that is gone, above 0, up to 1; below 1 a window starts
            from given frames, and only the last steps run.
    """

    scheduler: str = MULTITALK_SCHEDULE
    steps: int = 4
    shift: float = 11.0
    sampler: str = "euler"
    denoise: float = 1.0

    @property
    def steps_are_fixed(self) -> bool:
        """Whether the scheduler has steps of its own and `steps` is not used."""
        return self.scheduler == MULTITALK_SCHEDULE


@dataclass(frozen=True, slots=True)
class FrameSize:
    """Size of the video in pixels, both multiples of 16."""

    height_px: int
    width_px: int


def checked_windows(asked: WindowSettings) -> tuple[WindowSettings, tuple[str, ...]]:
    """The window settings with both numbers snapped down to 4n+1, and a sentence for each that moved.

    Raises:
        InputError: a window that is too short or too long, or no shorter motion.
    """
    if not MIN_WINDOW_FRAMES <= asked.window_frames <= WINDOW_FRAMES:
        raise InputError(
            f"window_frames: {asked.window_frames} frames, expected {MIN_WINDOW_FRAMES} to {WINDOW_FRAMES}: "
            f"the weights were trained on {WINDOW_FRAMES}. Use {WINDOW_FRAMES} unless memory is short."
        )
    if asked.motion_frames < 1:
        raise InputError(
            f"motion_frames: {asked.motion_frames} frames, expected 1 or more: a window continues from them. "
            f"Use {MOTION_FRAMES}."
        )
    used = WindowSettings(snap_frames(asked.window_frames), snap_frames(asked.motion_frames))
    if used.motion_frames >= used.window_frames:
        raise InputError(
            f"motion_frames: {asked.motion_frames} frames, expected fewer than window_frames "
            f"({used.window_frames}): a window must add frames of its own. Use {MOTION_FRAMES} for "
            f"motion_frames."
        )
    notes = (
        snapped_note("window_frames", asked.window_frames, used.window_frames, "frames come as 4n+1"),
        snapped_note("motion_frames", asked.motion_frames, used.motion_frames, "frames come as 4n+1"),
    )
    return used, tuple(note for note in notes if note)


def checked_size(height_px: int, width_px: int) -> tuple[FrameSize, tuple[str, ...]]:
    """The nearest size whose sides are multiples of 16, and a sentence for each side that moved.

    Raises:
        InputError: a side that is not positive, or too long for any GPU.
    """
    for name, side_px in (("height", height_px), ("width", width_px)):
        if not 0 < side_px <= MAX_SIZE_PX:
            raise InputError(
                f"{name}: {side_px} pixels, expected {SIZE_MULTIPLE} to {MAX_SIZE_PX}. 480x832 and 720x1280 "
                "are what the weights were trained on."
            )
    used = FrameSize(snap_size(height_px), snap_size(width_px))
    reason = f"sides are multiples of {SIZE_MULTIPLE}"
    notes = (
        snapped_note("height", height_px, used.height_px, reason),
        snapped_note("width", width_px, used.width_px, reason),
    )
    return used, tuple(note for note in notes if note)


def checked_schedule(asked: NoiseSchedule) -> tuple[NoiseSchedule, tuple[str, ...]]:
    """The schedule as it will run; says that `multitalk` has four steps of its own.

    Raises:
        InputError: fewer than one step, or a shift that is not positive.
    """
    if not 0 < asked.shift < math.inf:
        raise InputError(f"shift: {asked.shift:g}, expected more than 0. Use 11 with a 4-step LoRA, else 7.")
    if asked.steps_are_fixed:
        steps = len(MULTITALK_TIMESTEPS)
        listed = ", ".join(f"{timestep:g}" for timestep in MULTITALK_TIMESTEPS)
        note = f"{FIXED_STEPS} {steps} timesteps ({listed}); steps={asked.steps} is not used"
        kept = kept_timesteps(asked.denoise)
        listed = ", ".join(f"{timestep:g}" for timestep in kept)
        kept_note = f"denoise {asked.denoise:g}: the last {len(kept)} of multitalk's timesteps run ({listed})"
        return replace(asked, steps=steps), (note,) if asked.denoise == 1 else (note, kept_note)
    if asked.steps < 1:
        raise InputError(f"steps: {asked.steps}, expected 1 or more. Use 4 with a 4-step LoRA, else 40.")
    return asked, ()


def kept_timesteps(denoise: float) -> tuple[float, ...]:
    """Those of `multitalk`'s timesteps, before the shift, that run with `denoise`: always the last."""
    first, *others, last = MULTITALK_TIMESTEPS
    return (*(timestep for timestep in (first, *others) if timestep <= first * denoise), last)


def snapped_note(name: str, asked: int, used: int, reason: str) -> str:
    """A sentence about a number that moved, or nothing."""
    return "" if asked == used else f"{name} {asked} became {used}: {reason}"
