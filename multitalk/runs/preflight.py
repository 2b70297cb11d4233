"""What a run will need, before it begins: time, memory and disk, as far as they can be known then.

Estimates, each by a formula of its own that can be replaced. The disk is the one that a run is refused for:
all others slow a run down, a full disk stops it in the night.

Shape letters: H height, W width.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ...wanvideo.geometry import LatentShape
from ..common.errors import InputError
from ..common.types import FPS
from ..windows.settings import FrameSize
from .overlap_file import KEPT_BYTES, KEPT_LAST

FRAME_CHANNELS = 3
FLOAT_BYTES, HALF_BYTES = 4, 2

MODEL_WIDTH, FEED_FORWARD_WIDTH = 5120, 13_824
"""Of Wan 2.1 14B."""

ACTIVATIONS_OF_WIDTH = 6
"""Tensors as wide as the model that live at once in a block: x, its norm, q, k, v, what attention gives."""

ENCODER_FRAMES = 60
"""Frames that x264 keeps at its preset `medium`: those it looks ahead to, refers to, and has in the works."""

SOUND_BYTES_PER_S = 64_000
"""Of AAC with two channels, and the container around it, twice what it takes."""

HEADROOM = 1.25
"""On what earlier windows took: a livelier picture takes more."""


@dataclass(frozen=True, slots=True)
class RunShape:
    """How much there is to do.

    Attributes:
        windows: of the whole run.
        frames: of the video.
        window_frames: of one window.
        motion_frames: which a window takes over from the one before.
        size: of the video.
        windows_left: that an earlier run has not finished.
        review: windows whose motion frames are kept in any case.
        clips: first clips to make, each as long as a window.
        stills: frames of a first clip that are kept.
        file_frames: of the finished file, where it is a clip with frames of its own; 0: as many as are made.
    """

    windows: int
    frames: int
    window_frames: int
    motion_frames: int
    size: FrameSize
    windows_left: int
    review: int = 0
    clips: int = 0
    stills: int = 0
    file_frames: int = 0

    @property
    def to_make(self) -> int:
        """How much there is to sample, in windows."""
        return self.windows_left + self.clips

    @property
    def frame_bytes(self) -> int:
        """Of one frame in float32."""
        return self.size.height_px * self.size.width_px * FRAME_CHANNELS * FLOAT_BYTES


@dataclass(frozen=True, slots=True)
class Past:
    """Figures of earlier windows of the same kind.

    Attributes:
        window_seconds: what each took, on the same GPU with the same settings.
        bytes_per_frame: what their video took on the disk, or None where no run of this size is known.
    """

    window_seconds: tuple[float, ...] = ()
    bytes_per_frame: float | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is.

    Attributes:
        device: name of the GPU, or "" where there is none.
        vram_bytes: of it, less what the user set aside.
        folder: where the run is kept.
        free_bytes: on its disk.
    """

    device: str
    vram_bytes: int
    folder: str
    free_bytes: int


@dataclass(frozen=True, slots=True)
class RunNeeds:
    """What a run will need.

    Attributes:
        shape: how much there is to do.
        seconds: of all windows that are left, without loading; None where there is no history.
        samples: how many earlier windows that comes from.
        vram_bytes: weights and activations at their highest.
        ram_bytes: of frames and the encoder, beside weights.
        disk_bytes: at its highest, just before the segments are deleted.
    """

    shape: RunShape
    seconds: float | None
    samples: int
    vram_bytes: int
    ram_bytes: int
    disk_bytes: int


def estimate_run(shape: RunShape, weight_bytes: int, past: Past, guessed_bytes_per_frame: float) -> RunNeeds:
    """What a run will need.

    Args:
        shape: how much there is to do.
        weight_bytes: of the files of all weights that sampling takes.
        past: figures of earlier windows.
        guessed_bytes_per_frame: on the disk, where there are no earlier runs.
    """
    seconds = shape.to_make * statistics.median(past.window_seconds) if past.window_seconds else None
    known = past.bytes_per_frame
    per_frame = guessed_bytes_per_frame if known is None else known * HEADROOM
    return RunNeeds(
        shape=shape,
        seconds=seconds,
        samples=len(past.window_seconds),
        vram_bytes=weight_bytes + activation_bytes(shape),
        ram_bytes=frame_memory_bytes(shape),
        disk_bytes=disk_bytes(shape, per_frame),
    )


def activation_bytes(shape: RunShape) -> int:
    """VRAM that one evaluation takes beside the weights, in a type of two bytes.

    tokens * (6 * width + 2 * feed-forward width) * 2 bytes: what a block holds while its feed-forward runs.
    """
    grid = LatentShape.of_video(shape.window_frames, shape.size.height_px, shape.size.width_px)
    return grid.tokens * (ACTIVATIONS_OF_WIDTH * MODEL_WIDTH + 2 * FEED_FORWARD_WIDTH) * HALF_BYTES


def frame_memory_bytes(shape: RunShape) -> int:
    """RAM of two windows of frames, one that is made and one that is written, and of the video's encoder."""
    encoder = ENCODER_FRAMES * shape.size.height_px * shape.size.width_px * 3 // 2
    return 2 * shape.window_frames * shape.frame_bytes + encoder


def disk_bytes(shape: RunShape, bytes_per_frame: float) -> int:
    """Bytes still to be written: the rest of the segments, the whole video, the motion frames."""
    file_frames = shape.file_frames or shape.frames
    left_frames = file_frames * shape.windows_left / shape.windows
    sound = shape.frames / FPS * SOUND_BYTES_PER_S
    carry = shape.motion_frames * shape.frame_bytes
    spaced = min(KEPT_BYTES, shape.windows * carry)
    carries = min(spaced + max(KEPT_LAST, shape.review + 1) * carry, shape.windows * carry)
    video = file_frames * bytes_per_frame + sound if shape.windows_left else 0
    stills = shape.stills * shape.frame_bytes if shape.clips else 0
    return round(left_frames * bytes_per_frame + video + stills + (carries if shape.windows_left else 0))


def check_disk(estimate: RunNeeds, machine: Machine) -> None:
    """Refuse a run that the disk cannot hold.

    Raises:
        InputError: names the folder, what is free and what is needed.
    """
    if estimate.disk_bytes > machine.free_bytes:
        raise InputError(
            f"filename_prefix: the disk of {machine.folder} has {size_text(machine.free_bytes)} free, but "
            f"this run of {estimate.shape.windows} windows needs about {size_text(estimate.disk_bytes)} "
            "there. Make room, shorten the sound, or start ComfyUI with another --output-directory"
        )


def describe_estimate(estimate: RunNeeds, machine: Machine) -> str:
    """One line for the person who waits."""
    shape = estimate.shape
    left = "" if shape.windows_left == shape.windows else f" ({shape.windows_left} left to make)"
    if not shape.windows_left:
        pace = "nothing is left to make"
    elif estimate.seconds is None:
        pace = "time unknown: no history yet"
    else:
        pace = f"about {duration_text(estimate.seconds)} by {estimate.samples} earlier windows"
    vram = (
        f", VRAM {size_text(estimate.vram_bytes)} of {size_text(machine.vram_bytes)}"
        if machine.device
        else ""
    )
    return (
        f"preflight: {shape.windows} windows{left}, {pace}{vram}, RAM {size_text(estimate.ram_bytes)} beside "
        f"weights, disk {size_text(estimate.disk_bytes)} of {size_text(machine.free_bytes)} free"
    )


def offload_warnings(estimate: RunNeeds, machine: Machine) -> tuple[str, ...]:
    """Says that weights will not all fit."""
    if not machine.device or estimate.vram_bytes <= machine.vram_bytes:
        return ()
    over = size_text(estimate.vram_bytes - machine.vram_bytes)
    return (
        f"preflight: weights and activations are about {over} more than {machine.device} holds, so ComfyUI "
        "will move weights in and out, which takes longer. fp8 or GGUF weights, a smaller size or fewer "
        "window_frames take less",
    )


def size_text(size_bytes: float) -> str:
    """A size as people say it."""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e8 else f"{size_bytes / 1e6:.1f} MB"


def duration_text(seconds: float) -> str:
    """A duration as people say it."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def median_bytes_per_frame(sizes: Sequence[tuple[int, int]]) -> float | None:
    """The middle of bytes a frame over (bytes, frames) of earlier windows or videos; None without any."""
    values = [size_bytes / frames for size_bytes, frames in sizes if frames]
    return statistics.median(values) if values else None
