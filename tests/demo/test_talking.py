"""The trained miniature really talks: mouths measured in films made through the pack's own code in ComfyUI.

Held-out people (seeds that nobody trained on) and held-out voices (tests/demo/voices). The films of two
people, the mutations and the twenty windows are long: `make quality` runs them (EVERTALK_QUALITY=1).
"""

import math
import os
import re
from dataclasses import replace

import pytest
import torch
from evertalk_pack.multitalk.windows.loop import RunSpec
from evertalk_pack.multitalk.windows.modes import Encode, WindowCondition, WindowInputs, WindowMode
from evertalk_pack.wanvideo.step_cache import COEFFICIENTS, StepCacheSettings
from lipsync import Sync, colour_drift, correlation, measure_sync, openings_px
from talking import (
    MOTION_FRAMES,
    TWO_WINDOWS_S,
    WINDOW_FRAMES,
    Film,
    Troupe,
    load_voice,
    make_film,
    portrait,
    voices_changed,
)

pytestmark = pytest.mark.host

ADVANCE = WINDOW_FRAMES - MOTION_FRAMES
LEFT, RIGHT = slice(0, 64), slice(64, 128)

LEAST_SYNC = 0.85
LEAST_OWN, MOST_OTHER = 0.8, 0.25
MOST_DRIFT = 0.01
MOST_JOIN = 1.5
MOST_UNBLENDED_JOIN = 2.5
"""The VAE alone makes 2.0 of a perfect join; a window that goes on from nothing makes more."""
TWENTY_WINDOWS_S = (WINDOW_FRAMES + 19 * ADVANCE) / 25


quality = pytest.mark.skipif(not os.environ.get("EVERTALK_QUALITY"), reason="a minute long: make quality")


@pytest.fixture(scope="module")
def two(troupe: Troupe) -> Film:
    voices = [load_voice("one", TWO_WINDOWS_S), load_voice("two", TWO_WINDOWS_S)]
    return make_film(troupe, portrait(90, 2), voices)


def follows(sync: Sync) -> bool:
    return sync.correlation >= LEAST_SYNC and abs(sync.lag) <= 1


def sync_of(film: Film, person: int = 0, columns: slice = slice(None)) -> Sync:
    """Without the first frame: it is the picture itself."""
    return measure_sync(openings_px(film.frames_FHWC, columns)[1:], film.law_SF[person, 1:])


def separation(film: Film) -> torch.Tensor:
    """Correlation of each half's mouth (rows) with each voice (columns)."""
    mouths = [openings_px(film.frames_FHWC, columns)[1:] for columns in (LEFT, RIGHT)]
    return torch.tensor([[correlation(mouth, law[1:]) for law in film.law_SF] for mouth in mouths])


def join_figure(frames_FHWC: torch.Tensor) -> float:
    """Mean change across the joins in units of the median change from frame to frame."""
    steps = frames_FHWC.diff(dim=0).abs().mean(dim=(1, 2, 3))
    return float(steps[WINDOW_FRAMES - 1 :: ADVANCE].mean() / steps.median())


class Forgetful:
    """A mode of windows that begins each window anew."""

    def __init__(self, mode: WindowMode) -> None:
        self.mode = mode

    def condition(self, known: WindowInputs, encode: Encode) -> WindowCondition:
        return self.mode.condition(replace(known, motion_FHWC=None), encode)


def forget_motion(spec: RunSpec) -> RunSpec:
    return replace(spec, mode=Forgetful(spec.mode))


def test_the_mouth_follows_a_voice(alone: Film) -> None:
    assert follows(sync_of(alone)), sync_of(alone)


def test_the_mouth_is_shut_in_silence_and_open_in_speech(alone: Film) -> None:
    opening, law = openings_px(alone.frames_FHWC)[1:], alone.law_SF[0, 1:]
    assert float(opening[law < 0.02].mean()) < 1
    assert float(opening[law > 0.6].mean()) > 6


@quality
def test_two_voices_move_the_right_mouths(two: Film) -> None:
    found = separation(two)
    assert float(found.diagonal().min()) >= LEAST_OWN, found
    assert float(found.flip(0).diagonal().abs().max()) <= MOST_OTHER, found


@quality
def test_swapped_voices_swap_the_mouths(troupe: Troupe) -> None:
    voices = [load_voice("two", TWO_WINDOWS_S), load_voice("one", TWO_WINDOWS_S)]
    found = separation(make_film(troupe, portrait(90, 2), voices))
    assert float(found.diagonal().min()) >= LEAST_OWN, found


@quality
def test_features_five_frames_late_are_noticed(troupe: Troupe) -> None:
    late = voices_changed(lambda voices: replace(voices, audio_SFKLC=voices.audio_SFKLC.roll(5, dims=1)))
    sync = sync_of(make_film(troupe, portrait(77, 1), [load_voice("one", TWO_WINDOWS_S)], late))
    assert not follows(sync)
    assert sync.lag in (4, 5, 6)


@quality
def test_a_transposed_speaker_map_is_noticed(troupe: Troupe) -> None:
    def transpose(masks_MP: torch.Tensor | None) -> torch.Tensor:
        assert masks_MP is not None
        return masks_MP[[1, 0, 2]]

    wrong = voices_changed(lambda voices: replace(voices, token_masks_MP=transpose(voices.token_masks_MP)))
    voices = [load_voice("one", TWO_WINDOWS_S), load_voice("two", TWO_WINDOWS_S)]
    found = separation(make_film(troupe, portrait(90, 2), voices, wrong))
    assert float(found.diagonal().max()) < LEAST_OWN, found


def test_a_join_changes_the_picture_little_more_than_any_frame_does(alone: Film) -> None:
    assert join_figure(alone.frames_FHWC) <= MOST_JOIN


def test_a_window_goes_on_from_the_one_before(alone: Film) -> None:
    assert join_figure(alone.unblended_FHWC) <= MOST_UNBLENDED_JOIN


@quality
def test_dropped_motion_frames_are_noticed(troupe: Troupe) -> None:
    film = make_film(troupe, portrait(77, 1), [load_voice("one", TWO_WINDOWS_S)], forget_motion)
    assert join_figure(film.unblended_FHWC) > MOST_UNBLENDED_JOIN


@quality
def test_twenty_windows_later_the_mouth_still_follows_and_colours_stay(troupe: Troupe) -> None:
    film = make_film(troupe, portrait(78, 1), [load_voice("one", TWENTY_WINDOWS_S)])
    assert follows(sync_of(film)), sync_of(film)
    opening, law = openings_px(film.frames_FHWC), film.law_SF[0]
    assert correlation(opening[1:WINDOW_FRAMES], law[1:WINDOW_FRAMES]) >= LEAST_SYNC
    assert correlation(opening[-ADVANCE:], law[-ADVANCE:]) >= LEAST_SYNC
    assert colour_drift(film.frames_FHWC[-ADVANCE:], film.reference_HWC) < MOST_DRIFT


LEFT_OUT = re.compile(r"step cache: (\d+) of (\d+) evaluations left out")


@quality
def test_a_step_cache_leaves_out_a_third_of_the_steps_and_the_film_stays_the_same(
    troupe: Troupe, caplog: pytest.LogCaptureFixture
) -> None:
    """Of 20. The guess was fitted to the real model, not to this one: what is left out differs there."""
    from evertalk_pack.nodes.host.model.patcher import with_step_cache

    voice = load_voice("one", TWO_WINDOWS_S)
    settings = StepCacheSettings(0.3, COEFFICIENTS["480p"])
    cached = replace(troupe, model=with_step_cache(troupe.model, settings))
    caplog.set_level("INFO", "evertalk")
    every = make_film(troupe, portrait(77, 1), [voice], steps=20)
    assert not LEFT_OUT.search(caplog.text)
    film = make_film(cached, portrait(77, 1), [voice], steps=20)
    counts = [(int(left), int(of)) for left, of in LEFT_OUT.findall(caplog.text)]
    assert len(counts) == 2, "a line a window"
    assert all(left / of >= 0.3 for left, of in counts), counts
    noise = float((film.frames_FHWC - every.frames_FHWC).square().mean())
    assert -10 * math.log10(noise) > 45, "dB"
    assert abs(sync_of(film).correlation - sync_of(every).correlation) < 0.01
