"""Times what the window loop does itself, with models that take no time, as JSON; no GPU, no ComfyUI.

    python bench/cpu.py                          832x480, 81 frames a window, 4 windows
    python bench/cpu.py --size 320x192 --windows 2

For a window: its share of the plan, its voices (slicing of the features, masks), the backend's toy frames,
each colour match, and the writing of its part of the video to the disk, as the run store does it. For a step:
how the predictions of guidance are combined, plainly and by APG. And seconds of planning an hour.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
import pack_alias
from rows import plain_parser

pack_alias.name_pack()
from evertalk_pack.multitalk.common.fingerprint import chained, fingerprint  # noqa: E402 - only importable now
from evertalk_pack.multitalk.common.safe_path import checked_prefix  # noqa: E402
from evertalk_pack.multitalk.common.size_buckets import Size  # noqa: E402
from evertalk_pack.multitalk.common.types import (  # noqa: E402
    FPS,
    MOTION_FRAMES,
    TAIL_FRAMES,
    WINDOW_FRAMES,
    Waveform,
)
from evertalk_pack.multitalk.model.guidance import (  # noqa: E402
    ApgState,
    GuidanceSettings,
    branches_needed,
    combine,
)
from evertalk_pack.multitalk.runs.folder import RunPlace  # noqa: E402
from evertalk_pack.multitalk.runs.identity import Resume, RunIdentity, VideoForm  # noqa: E402
from evertalk_pack.multitalk.runs.manifest import WindowStats  # noqa: E402
from evertalk_pack.multitalk.runs.overlap_file import WindowOverlap  # noqa: E402
from evertalk_pack.multitalk.runs.store import RunStore  # noqa: E402
from evertalk_pack.multitalk.speech.embeds import AudioEmbeds  # noqa: E402
from evertalk_pack.multitalk.windows.colour import ColourMethod, match_colour  # noqa: E402
from evertalk_pack.multitalk.windows.loop import RunSpec, WindowRequest, generate  # noqa: E402
from evertalk_pack.multitalk.windows.modes import InfiniteTalkMode  # noqa: E402
from evertalk_pack.multitalk.windows.plan import plan_windows  # noqa: E402
from evertalk_pack.multitalk.windows.seeds import seeded_noise  # noqa: E402
from evertalk_pack.multitalk.windows.voices import VoicePlan  # noqa: E402
from evertalk_pack.wanvideo.geometry import LatentShape  # noqa: E402

RATE_HZ = 16_000
HOUR_FRAMES = 3600 * FPS


class ToyBackend:
    """Ready-made latents and frames: what is left is the loop's own time."""

    def __init__(self, height_px: int, width_px: int) -> None:
        rows, columns = torch.linspace(0, 1, height_px), torch.linspace(0, 1, width_px)
        shape = (WINDOW_FRAMES, height_px, width_px)
        moving = torch.linspace(0, 0.2, WINDOW_FRAMES)[:, None, None]
        red, green = rows[None, :, None] * 0.8 + moving, columns[None, None] * 0.8 + moving
        grain = 0.02 * torch.rand(shape, generator=torch.Generator().manual_seed(0))
        channels = (red.expand(shape) + grain, green.expand(shape), (red * green).expand(shape))
        self.frames_FHWC = torch.stack(channels, dim=-1).clamp(0, 1)

    def encode(self, frames_FHWC: torch.Tensor) -> torch.Tensor:
        """Latents of zeros."""
        return torch.zeros(1, 16, *LatentShape.of_video(len(frames_FHWC), *frames_FHWC.shape[1:3]))

    def sample(self, request: WindowRequest) -> torch.Tensor:
        """The noise itself."""
        return request.noise_BCTHW

    def decode(self, latents_BCTHW: torch.Tensor) -> torch.Tensor:
        """The same frames for every window."""
        del latents_BCTHW
        return self.frames_FHWC


def seconds_of(call: Callable[[], Any], runs: int) -> float:
    """The median duration of a call."""
    taken: list[float] = []
    for _ in range(runs):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return round(statistics.median(taken), 6)


def speech(frames: int) -> AudioEmbeds:
    """Two voices of random features."""
    generator = torch.Generator().manual_seed(1)
    tracks = tuple(torch.randn(frames + TAIL_FRAMES, 12, 768, generator=generator) for _ in range(2))
    sound = Waveform(torch.rand(1, frames * RATE_HZ // FPS, generator=generator) * 0.1, RATE_HZ)
    return AudioEmbeds(tracks, frames, sound)


def whole_run(size: Size, windows: int) -> dict[str, float]:
    """Seconds a window of the loop alone, and of the loop with its windows written to the disk."""
    frames = WINDOW_FRAMES + (windows - 1) * (WINDOW_FRAMES - MOTION_FRAMES)
    plan, embeds = plan_windows(frames, WINDOW_FRAMES, MOTION_FRAMES), speech(frames)
    picture_HWC = torch.full((*size, 3), 0.4)
    backend = ToyBackend(*size)
    spec = RunSpec(
        windows=plan,
        mode=InfiniteTalkMode(),
        height_px=size[0],
        width_px=size[1],
        reference=lambda _window: picture_HWC,
        voices=VoicePlan(embeds, size, size),
        finish=lambda _window, frames_FHWC: frames_FHWC,
        noise=lambda window: seeded_noise(0, window.index),
    )
    loop_s = seconds_of(lambda: list(generate(spec, backend)), 2)
    keys = tuple(chained(str(window.index), window) for window in plan)
    card = RunIdentity(fingerprint(keys), keys, plan, {})
    with tempfile.TemporaryDirectory() as folder:
        prefix = checked_prefix("bench", Path(folder))
        place, form = RunPlace(Path(folder), prefix, prefix), VideoForm(*size, embeds.sound)
        started = time.perf_counter()
        with RunStore(place, card, form, Resume.AUTO, say=lambda _text: None) as store:
            for done in generate(spec, backend):
                carry = WindowOverlap(done.motion_FHWC)
                store.add(done.window, done.frames_FHWC, carry, lambda: WindowStats(0.0))
            before_finish_s = time.perf_counter() - started
            store.finish()
        stored_s = time.perf_counter() - started
    return {
        "loop_s_a_window": round(loop_s / windows, 4),
        "loop_and_disk_s_a_window": round(before_finish_s / windows, 4),
        "finished_video_s_a_window": round((stored_s - before_finish_s) / windows, 4),
    }


def steps(size: Size) -> dict[str, float]:
    """Seconds that a step takes to combine its predictions, by how they are combined."""
    shape = (1, 16, *LatentShape.of_video(WINDOW_FRAMES, *size))
    found: dict[str, float] = {}
    for name, settings in (
        ("two_branches", GuidanceSettings(1, 3)),
        ("three_branches", GuidanceSettings(5, 4)),
        ("three_branches_apg", GuidanceSettings(5, 4, apg=True)),
    ):
        predictions = {branch: torch.randn(shape) for branch in branches_needed(settings, audio_active=True)}
        state = combine(predictions, settings, ApgState())[1]
        found[name] = seconds_of(lambda p=predictions, s=settings, a=state: combine(p, s, a), 5)
    return found


def main() -> None:
    """Measure and print."""
    parser = plain_parser(__doc__)
    parser.add_argument("--size", default="832x480", help="WIDTHxHEIGHT in pixels")
    parser.add_argument("--windows", type=int, default=4)
    arguments = parser.parse_args()
    width, height = (int(side) for side in arguments.size.split("x"))
    size = Size(height, width)
    frames_FHWC, picture_HWC = ToyBackend(*size).frames_FHWC, torch.rand(*size, 3)
    embeds = speech(WINDOW_FRAMES)
    window = plan_windows(WINDOW_FRAMES, WINDOW_FRAMES, MOTION_FRAMES)[0]
    report: dict[str, Any] = {
        "arguments": vars(arguments),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "plan_of_an_hour_s": seconds_of(lambda: plan_windows(HOUR_FRAMES, WINDOW_FRAMES, MOTION_FRAMES), 3),
        "voices_s_a_window": seconds_of(lambda: VoicePlan(embeds, size, size)(window), 3),
        "colour_s_a_window": {
            method.value: seconds_of(lambda m=method: match_colour(frames_FHWC, picture_HWC, 1.0, m), 1)
            for method in ColourMethod
        },
        "guidance_s_a_step": steps(size),
        "run": whole_run(size, arguments.windows),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    with torch.inference_mode():
        main()
