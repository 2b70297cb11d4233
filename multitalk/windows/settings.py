"""The numbers of a run: their defaults, their limits, and what is made of them when they do not fit.

Snapped numbers come with a sentence that says so; numbers that contradict each other are refused.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...wanvideo.geometry import SIZE_MULTIPLE, TIME_STRIDE, snap_frames, snap_size
from ...wanvideo.schedule import (
    FLASHTALK_2_TIMESTEPS,
    FLASHTALK_TIMESTEPS,
    MULTITALK_TIMESTEPS,
    SKYREELS_TIMESTEPS,
)
from ..common.errors import InputError
from ..common.types import MOTION_FRAMES, WINDOW_FRAMES
from ..model.checkpoint import TalkMode

MULTITALK_SCHEDULE = "multitalk"
INFINITETALK_SCHEDULE = "infinitetalk"
FLASHTALK_SCHEDULE = "flashtalk"
FLASHTALK_2_SCHEDULE = "flashtalk_2"
FLASHTALK_SCHEDULES = {
    FLASHTALK_SCHEDULE: FLASHTALK_TIMESTEPS,
    FLASHTALK_2_SCHEDULE: FLASHTALK_2_TIMESTEPS,
}
FLASHTALK_SHIFT = 5.0
FLASHTALK_SAMPLER = "lcm"
"""ComfyUI's name for: predict the clean latents, then mix in fresh noise of the next level."""

SKYREELS_SCHEDULE = "skyreels"
SKYREELS_SHIFT = 11.0
SKYREELS_SAMPLER = "euler"


@dataclass(frozen=True, slots=True)
class BoundSchedule:
    """A schedule that belongs to the weights of one mode, which take nothing else.

    Attributes:
        mode: whose weights.
        timesteps: before the shift.
        shift: moves the levels toward noise.
        sampler: the host's sampler.
    """

    mode: TalkMode
    timesteps: tuple[float, ...]
    shift: float
    sampler: str


BOUND_SCHEDULES: dict[str, BoundSchedule] = {
    **{
        name: BoundSchedule("flashtalk", timesteps, FLASHTALK_SHIFT, FLASHTALK_SAMPLER)
        for name, timesteps in FLASHTALK_SCHEDULES.items()
    },
    SKYREELS_SCHEDULE: BoundSchedule("skyreels", SKYREELS_TIMESTEPS, SKYREELS_SHIFT, SKYREELS_SAMPLER),
}

OWN_SCHEDULES = (MULTITALK_SCHEDULE, INFINITETALK_SCHEDULE, *BOUND_SCHEDULES)
FIXED_TIMESTEPS = {
    MULTITALK_SCHEDULE: MULTITALK_TIMESTEPS,
    **{name: bound.timesteps for name, bound in BOUND_SCHEDULES.items()},
}
"""The schedules whose steps are not asked for, with their timesteps before the shift."""

FIXED_STEPS = tuple(f"scheduler {name} always runs its" for name in FIXED_TIMESTEPS)
"""How the sentences begin that are told of every such run: they say how things are, and warn of nothing."""

MIN_WINDOW_FRAMES = 2 * TIME_STRIDE + 1
MAX_SIZE_PX = 4096


def is_flashtalk(scheduler: str) -> bool:
    """Whether a scheduler is one of FlashTalk's, whose windows are planned and finished otherwise."""
    return scheduler in FLASHTALK_SCHEDULES


def is_skyreels(scheduler: str) -> bool:
    """Whether a scheduler is SkyReels', whose windows end on stills of a first clip."""
    return scheduler == SKYREELS_SCHEDULE


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
        scheduler: `multitalk` (four fixed timesteps), `infinitetalk` (evenly spaced), FlashTalk's (four or
            two fixed timesteps), SkyReels' (four), or one of the host's.
        steps: how many; schedules with fixed timesteps do not use it.
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
        return self.scheduler in FIXED_TIMESTEPS

    @property
    def renews_noise(self) -> bool:
        """Whether every step mixes in noise of its own, which is then the window's."""
        return is_flashtalk(self.scheduler)


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
    """The schedule as it will run; says what a schedule with fixed timesteps does not use.

    Raises:
        InputError: fewer than one step, or a shift that is not positive.
    """
    if not 0 < asked.shift < math.inf:
        raise InputError(f"shift: {asked.shift:g}, expected more than 0. Use 11 with a 4-step LoRA, else 7.")
    if asked.steps_are_fixed:
        timesteps = FIXED_TIMESTEPS[asked.scheduler]
        used = replace(asked, steps=len(timesteps))
        note = (
            f"scheduler {asked.scheduler} always runs its {len(timesteps)} timesteps ({_listed(timesteps)}); "
            f"steps={asked.steps} is not used"
        )
        bound = BOUND_SCHEDULES.get(asked.scheduler)
        if bound is not None:
            note = (
                f"scheduler {asked.scheduler} always runs its {len(timesteps)} timesteps "
                f"({_listed(timesteps)}) at shift {bound.shift:g} with sampler {bound.sampler}; "
                f"steps={asked.steps}, shift={asked.shift:g} and sampler_name={asked.sampler} are not used"
            )
            used = replace(used, shift=bound.shift, sampler=bound.sampler)
        if asked.denoise == 1:
            return used, (note,)
        kept = kept_timesteps(asked.scheduler, asked.denoise)
        kept_note = (
            f"denoise {asked.denoise:g}: the last {len(kept)} of {asked.scheduler}'s timesteps run "
            f"({_listed(kept)})"
        )
        return used, (note, kept_note)
    if asked.steps < 1:
        raise InputError(f"steps: {asked.steps}, expected 1 or more. Use 4 with a 4-step LoRA, else 40.")
    return asked, ()


def kept_timesteps(scheduler: str, denoise: float) -> tuple[float, ...]:
    """Those of a schedule's fixed timesteps, before the shift, that run with `denoise`: always the last."""
    first, *others, last = FIXED_TIMESTEPS[scheduler]
    return (*(timestep for timestep in (first, *others) if timestep <= first * denoise), last)


def _listed(timesteps: Sequence[float]) -> str:
    return ", ".join(f"{timestep:g}" for timestep in timesteps)


def snapped_note(name: str, asked: int, used: int, reason: str) -> str:
    """A sentence about a number that moved, or nothing."""
    return "" if asked == used else f"{name} {asked} became {used}: {reason}"
