from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from evertalk_pack.multitalk.windows.colour import ColourMethod, colour_drift, match_colour
from evertalk_pack.multitalk.windows.join_metric import frame_changes, seam_between
from evertalk_pack.multitalk.windows.joins import FrameChunk, join_windows
from evertalk_pack.multitalk.windows.loop import FinishedWindow
from evertalk_pack.multitalk.windows.plan import Window, plan_windows
from evertalk_pack.multitalk.windows.report import (
    DRIFT_PIXELS,
    WindowReport,
    WindowReporter,
    frames_a_second,
    spread_pixels,
)
from PIL import Image

PORTRAIT = Path(__file__).resolve().parents[3] / "demo" / "media" / "portrait.jpg"
WINDOWS = plan_windows(29, 13, 5)
LATENTS = torch.zeros(1, 16, 1, 1, 1)
PICTURE = torch.full((2, 2, 3), 0.25)


def windows_of(video: torch.Tensor) -> Iterator[FinishedWindow]:
    """The windows of a video whose windows agree on what they share."""
    for window in WINDOWS:
        yield FinishedWindow(window, LATENTS, video[window.start : window.start + window.frames].clone())


def video_with_jump(frame: int, jump: float) -> torch.Tensor:
    """Frames that grow lighter by 0.01 each, and by `jump` more at one of them."""
    levels = torch.arange(29) * 0.01 + (torch.arange(29) >= frame) * jump
    return levels[:, None, None, None].expand(-1, 2, 2, 3)


def reports_of(chunks: Iterator[FrameChunk]) -> list[WindowReport]:
    ticks = iter(range(0, 100, 2))
    reporter = WindowReporter(lambda: PICTURE, lambda: next(ticks))
    return [reporter.measuring(chunk)() for chunk in chunks]


def test_pace_is_that_of_full_windows_behind_the_first() -> None:
    windows = plan_windows(81 + 72 * 3 + 9, 81, 9)
    assert [window.new for window in windows] == [81, 72, 72, 72, 9]
    assert frames_a_second(windows, [100.0, 2.0, 3.0, 4.0, 3.0]) == 24
    assert frames_a_second(windows, [100.0, 2.0]) == 36, "of a run that paused"
    assert frames_a_second(windows, [100.0]) is None
    assert frames_a_second(windows, []) is None


@pytest.mark.parametrize("blend_frames", [0, 3])
def test_seam_is_that_of_the_join_however_many_frames_wait(blend_frames: int) -> None:
    video = video_with_jump(13, 0.2)
    reports = reports_of(join_windows(windows_of(video), blend_frames, len(WINDOWS)))
    assert [report.index for report in reports] == [0, 1, 2]
    assert reports[0].seam is None
    assert reports[1].seam == pytest.approx(21, rel=1e-4)
    assert reports[2].seam == pytest.approx(1, rel=1e-4)


def test_seam_compares_with_the_frames_before_across_stretches() -> None:
    generator = torch.Generator().manual_seed(3)
    video = torch.rand((29, 2, 2, 3), generator=generator)
    reports = reports_of(join_windows(windows_of(video), 0, len(WINDOWS)))
    assert reports[1].seam == pytest.approx(
        seam_between(video[12], frame_changes(video[5:13]), video[13:21]).figure
    )


def test_a_window_that_begins_afresh_has_no_seam() -> None:
    video = torch.rand((10, 2, 2, 3), generator=torch.Generator().manual_seed(3))
    scenes = [
        FinishedWindow(Window(0, 0, 9, 0, 5), LATENTS, video[:5]),
        FinishedWindow(Window(1, 5, 9, 0, 5), LATENTS, video[5:]),
    ]
    assert [report.seam for report in reports_of(join_windows(scenes, 3, 2))] == [None, None]


def test_a_single_frame_behind_another_has_no_seam() -> None:
    """As where a run that takes over one frame goes on with a last window of one."""
    window = FinishedWindow(Window(4, 32, 9, 1, 1), LATENTS, torch.rand(9, 2, 2, 3))
    reporter = WindowReporter(lambda: PICTURE, before_FHWC=torch.rand(1, 2, 2, 3))
    assert [reporter.measuring(chunk)().seam for chunk in join_windows([window], 0, 5)] == [None]


def test_drift_is_that_of_every_fourth_frame_that_a_window_adds() -> None:
    video = torch.rand((29, 6, 6, 3), generator=torch.Generator().manual_seed(3))
    reports = reports_of(join_windows(windows_of(video), 0, len(WINDOWS)))
    spans = [range(0, 13, 4), range(13, 21, 4), range(21, 29, 4)]
    assert [report.drift for report in reports] == pytest.approx(
        [colour_drift(video[list(span)], PICTURE) for span in spans]
    )
    matched = match_colour(video, PICTURE, 1.0, ColourMethod.LAB)
    after = reports_of(join_windows(windows_of(matched), 0, len(WINDOWS)))
    assert all(less.drift < more.drift / 4 for less, more in zip(after, reports, strict=True))


def test_drift_of_some_of_a_frames_pixels_is_that_of_all() -> None:
    picture = torch.from_numpy(np.asarray(Image.open(PORTRAIT).convert("RGB")) / 255).float()
    assert picture[..., 0].numel() > 4 * DRIFT_PIXELS
    warm = (picture * torch.tensor([1.1, 1.0, 0.9])).clamp(0, 1)
    lit = (picture + torch.linspace(0, 0.2, len(picture))[:, None, None]).clamp(0, 1)
    frames = torch.stack([warm, lit])
    assert spread_pixels(frames)[0, ..., 0].numel() < 2 * DRIFT_PIXELS
    all_of_them = colour_drift(frames, picture)
    assert all_of_them > 2
    assert colour_drift(spread_pixels(frames), spread_pixels(picture)) == pytest.approx(all_of_them, abs=0.03)
    assert spread_pixels(PICTURE).shape == PICTURE.shape


@pytest.mark.parametrize("size", [(480, 832), (720, 1280), (640, 640), (448, 448), (544, 960)])
def test_of_pictures_of_usual_sizes_about_as_many_pixels_are_measured_as_is_said(
    size: tuple[int, int],
) -> None:
    assert spread_pixels(torch.empty(*size, 1)).numel() == pytest.approx(DRIFT_PIXELS, rel=0.2)


def test_figures_that_are_computed_later_are_those_of_the_windows_own_time_and_scene() -> None:
    video = video_with_jump(13, 0.2)
    now = reports_of(join_windows(windows_of(video), 0, len(WINDOWS)))
    assert [report.seconds for report in now] == [2, 2, 2]
    ticks, scenes = iter(range(0, 100, 2)), [PICTURE]
    reporter = WindowReporter(lambda: scenes[-1], lambda: next(ticks))
    waiting = [reporter.measuring(chunk) for chunk in join_windows(windows_of(video), 0, len(WINDOWS))]
    scenes.append(PICTURE + 0.5)
    assert next(ticks) == 8, "the clock was read at once"
    assert [measure() for measure in waiting] == now


def test_report_reads_as_a_line() -> None:
    assert str(WindowReport(1, 1.84, 1.05, 12.34)) == "12.3 s, colour drift 1.8, seam 1.1"
    assert str(WindowReport(0, 0.0, None, 3.0)) == "3.0 s, colour drift 0.0"
