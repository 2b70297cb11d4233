"""Speech heard window by window: what a buffer holds, and that no window hears what comes after it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.common.size_buckets import Size
from evertalk_pack.multitalk.common.types import CONTEXT_FRAMES, LiveForm, Waveform
from evertalk_pack.multitalk.runs.keys import heard
from evertalk_pack.multitalk.speech.embeds import AudioEmbeds, encode_voices, one_speaker
from evertalk_pack.multitalk.speech.live import BUFFER_FRAMES, buffers
from evertalk_pack.multitalk.speech.loudness import loudness_of_pieces
from evertalk_pack.multitalk.speech.waveform import SAMPLES_PER_FRAME
from evertalk_pack.multitalk.windows.flashtalk import check_live_windows
from evertalk_pack.multitalk.windows.plan import plan_windows
from evertalk_pack.multitalk.windows.settings import WindowSettings
from evertalk_pack.multitalk.windows.voices import VoicePlan
from tiny_speech import speech_like

FORM = LiveForm(9, 1)
SIZE = Size(32, 32)


@dataclass
class CountingEncoder:
    """Gives each video frame the sum of its samples; remembers how many samples were said to be real."""

    real: list[int] = field(default_factory=list[int])

    def encode(
        self, speech: Waveform, num_frames: int, stats_samples: int, folder: Path | None
    ) -> Iterator[torch.Tensor]:
        del folder
        self.real.append(stats_samples)
        yield speech.samples_CT.view(num_frames, SAMPLES_PER_FRAME).sum(dim=1)[:, None, None]


def spoken(frames: float) -> Waveform:
    return Waveform(speech_like(int(frames * SAMPLES_PER_FRAME))[None], 16000)


def live_embeds(frames: float, *, normalise: bool = False) -> AudioEmbeds:
    return encode_voices(CountingEncoder(), one_speaker(spoken(frames)), normalise=normalise, live=FORM)


def test_a_buffer_holds_the_last_frames_with_zeros_before_the_beginning_and_behind_the_end() -> None:
    samples_T = torch.arange(1, 5 * SAMPLES_PER_FRAME + 1).float()
    first, second = (one.samples_T for one in buffers(samples_T, 4, 6, normalise=False))
    frame = SAMPLES_PER_FRAME
    assert torch.equal(first, torch.cat((torch.zeros(2 * frame), samples_T[: 4 * frame])))
    assert torch.equal(second, torch.cat((samples_T[2 * frame :], torch.zeros(3 * frame))))


def test_each_buffer_is_brought_to_the_loudness_of_speech_by_itself() -> None:
    samples_T = torch.cat((speech_like(32000) * 0.1, speech_like(32000)))
    for buffer in buffers(samples_T, 50, 50, normalise=True):
        assert loudness_of_pieces([buffer.heard_T], 16000) == pytest.approx(-23, abs=0.01)


@pytest.mark.parametrize(("frames", "windows"), [(1, 1), (8, 1), (8.9, 2), (20, 3)])
def test_every_frame_of_speech_has_a_window(frames: float, windows: int) -> None:
    made = live_embeds(frames)
    assert made.tracks_NLC[0].shape[0] == windows * (9 + CONTEXT_FRAMES // 2)
    assert len(plan_windows(made.video_frames, 9, 1, leads=True)) == windows


def test_a_window_hears_its_own_frames_and_none_that_come_after() -> None:
    made = live_embeds(20)
    sums_N = spoken(20).samples_CT.view(20, SAMPLES_PER_FRAME).sum(dim=1)
    plan = VoicePlan(made, SIZE, SIZE)
    first, second, third = (
        plan(window).audio_SFKLC[0, ..., 0, 0] for window in plan_windows(20, 9, 1, leads=True)
    )
    silent = torch.zeros(1)
    centre = CONTEXT_FRAMES // 2
    torch.testing.assert_close(first[:, centre], torch.cat((silent, sums_N[:8])))
    torch.testing.assert_close(second[:, centre], sums_N[7:16])
    torch.testing.assert_close(second[-1], sums_N[[13, 14, 15, 15, 15]])
    torch.testing.assert_close(third[:, centre], torch.cat((sums_N[15:20], torch.zeros(4))))


def test_the_encoder_is_told_that_all_of_a_buffer_counts() -> None:
    encoder = CountingEncoder()
    encode_voices(encoder, one_speaker(spoken(9)), live=FORM)
    assert encoder.real == [BUFFER_FRAMES * SAMPLES_PER_FRAME] * 2


def test_windows_are_known_by_what_they_hear() -> None:
    one, other = live_embeds(16), live_embeds(16)
    other.tracks_NLC[0][-1] += 1
    first, second = plan_windows(16, 9, 1, leads=True)
    assert torch.equal(heard(one, first)[0][0], heard(other, first)[0][0])
    assert not torch.equal(heard(one, second)[0][0], heard(other, second)[0][0])


def test_windows_of_another_form_are_refused() -> None:
    check_live_windows(FORM, WindowSettings(9, 1), leads=True, cuts=False)
    check_live_windows(None, WindowSettings(81, 9), leads=False, cuts=True)
    for windows, leads, cuts, came in (
        (WindowSettings(81, 9), True, False, "windows of 81 with 9"),
        (WindowSettings(9, 1), False, False, "a scheduler that is none of FlashTalk's"),
        (WindowSettings(9, 1), True, True, "a source with scene cuts"),
    ):
        with pytest.raises(InputError, match=rf"windows of 9 frames with 1 motion frames, .* has {came}"):
            check_live_windows(FORM, windows, leads=leads, cuts=cuts)
