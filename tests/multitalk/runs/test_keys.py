"""Windows of two runs have one key if, and only if, they are made of the same."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from evertalk_pack.multitalk.common.types import TAIL_FRAMES, Waveform
from evertalk_pack.multitalk.runs.keys import run_key, window_keys
from evertalk_pack.multitalk.speech.embeds import AudioEmbeds
from evertalk_pack.multitalk.speech.voice_marks import mark_voices
from evertalk_pack.multitalk.windows.plan import Window, plan_windows

RATE_HZ = 16_000


def sound_of(frames: int, changed_at_s: float | None = None) -> Waveform:
    samples = torch.rand(1, 10 * RATE_HZ, generator=torch.Generator().manual_seed(1))
    if changed_at_s is not None:
        samples[0, int(changed_at_s * RATE_HZ)] += 0.5
    return Waveform(samples[:, : frames * RATE_HZ // 25], RATE_HZ)


def embeds_of(sound: Waveform, frames: int, maker: str = "encoder") -> AudioEmbeds:
    # The features of the whole track change with every sample of it, as a real encoder's do.
    features = torch.full((frames + TAIL_FRAMES, 1, 2), float(sound.samples_CT.sum()))
    return AudioEmbeds((features,), frames, sound, marks=mark_voices([sound], frames, maker))


def no_prompt(window: Window) -> None:
    del window


def keys(embeds: AudioEmbeds, shared: Any = ("weights",), blend_frames: int = 0) -> tuple[str, ...]:
    windows = plan_windows(embeds.video_frames, 17, 5)
    return window_keys(shared, no_prompt, windows, embeds, blend_frames)


def shared_windows(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    return next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def test_longer_sound_shares_the_windows_whose_context_it_left_alone() -> None:
    short, long = embeds_of(sound_of(60), 60), embeds_of(sound_of(200), 200)
    # Windows end at 17, 29, 41, 53, 65; the fourth hears up to 55, the fifth past the end of 60 frames.
    assert shared_windows(keys(short), keys(long)) == 4
    assert run_key(keys(short), short) != run_key(keys(long), long)


@pytest.mark.parametrize(("at_s", "shared"), [(0.0, 0), (1.0, 1), (54 / 25, 3), (2.39, 4)])
def test_changed_sound_changes_the_windows_from_there_on(at_s: float, shared: int) -> None:
    embeds, changed = embeds_of(sound_of(60), 60), embeds_of(sound_of(60, at_s), 60)
    assert shared_windows(keys(embeds), keys(changed)) == shared


def test_other_weights_or_prompts_change_every_window() -> None:
    embeds = embeds_of(sound_of(60), 60)
    assert shared_windows(keys(embeds), keys(embeds, ("other weights",))) == 0
    assert shared_windows(keys(embeds), keys(embeds_of(sound_of(60), 60, "other encoder"))) == 0
    windows = plan_windows(60, 17, 5)
    prompted = [
        window_keys((), lambda window, at=at: window.start >= at, windows, embeds, 0) for at in (0, 24)
    ]
    assert shared_windows(*prompted) == 0
    prompted = [
        window_keys((), lambda window, at=at: window.start >= at, windows, embeds, 0) for at in (24, 36)
    ]
    assert shared_windows(*prompted) == 2


def test_last_window_is_another_one_where_joins_are_blended() -> None:
    short, long = embeds_of(sound_of(53), 53), embeds_of(sound_of(200), 200)
    assert shared_windows(keys(short, blend_frames=4), keys(long, blend_frames=4)) == 3


def test_without_marks_the_features_decide() -> None:
    sound = sound_of(60)
    embeds = replace(embeds_of(sound, 60), marks=None)
    again, changed = replace(embeds), replace(embeds, tracks_NLC=(embeds.tracks_NLC[0] + 1,))
    assert keys(embeds) == keys(again)
    assert shared_windows(keys(embeds), keys(changed)) == 0


def test_other_sound_in_the_file_is_another_run() -> None:
    embeds = embeds_of(sound_of(60), 60)
    louder = replace(embeds, sound=Waveform(embeds.sound.samples_CT * 2, RATE_HZ))
    assert keys(embeds) == keys(louder)
    assert run_key(keys(embeds), embeds) != run_key(keys(louder), louder)


def test_voice_that_ends_early_is_marked_as_silent() -> None:
    marks = mark_voices([sound_of(60), sound_of(20)], 60, "encoder").marks_SFD
    assert marks.shape == (2, 60, 16)
    assert torch.equal(marks[0, :20], marks[1, :20])
    assert len({bytes(mark.tolist()) for mark in marks[1, 20:]}) == 1
