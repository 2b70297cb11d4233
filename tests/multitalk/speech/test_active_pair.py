import torch
from evertalk_pack.multitalk.common.types import FPS, Waveform
from evertalk_pack.multitalk.speech.active_pair import active_pair, track_activity, voices_note
from hypothesis import given
from hypothesis import strategies as st

RATE_HZ = 16000


def test_activity_is_the_power_in_each_video_frame_and_zero_beyond_the_end() -> None:
    samples_CT = torch.zeros(2, RATE_HZ)
    samples_CT[:, RATE_HZ // 2 :] = 0.5
    activity_F = track_activity(Waveform(samples_CT, RATE_HZ), 30)
    assert activity_F.shape == (30,)
    assert not activity_F[:12].any()
    torch.testing.assert_close(activity_F[13:25], torch.full((12,), 0.25))
    assert not activity_F[25:].any()


def test_activity_follows_a_rate_that_no_frame_divides() -> None:
    samples_CT = torch.ones(1, 22050)
    activity_F = track_activity(Waveform(samples_CT, 22050), FPS)
    torch.testing.assert_close(activity_F, torch.ones(FPS))


def test_the_two_who_speak_most_in_the_window_are_heard() -> None:
    activity_SF = torch.zeros(4, 100)
    activity_SF[3, 10:20] = 1
    activity_SF[1, 15:20] = 1
    activity_SF[0, 60:90] = 9
    activity_SF[2, 12:13] = 1
    assert active_pair(activity_SF, range(40)) == (1, 3)
    assert active_pair(activity_SF, range(50, 131)) == (0, 1)


def test_a_silent_window_belongs_to_the_first_two_and_fewer_voices_are_all_heard() -> None:
    assert active_pair(torch.zeros(3, 50), range(50)) == (0, 1)
    assert active_pair(torch.zeros(2, 50), range(50)) == (0, 1)
    assert active_pair(torch.zeros(1, 50), range(50)) == (0,)


def test_more_than_two_voices_are_labelled_as_extrapolation() -> None:
    assert voices_note(1) is None
    assert voices_note(2) is None
    assert "Of the 3 voices" in str(voices_note(3))
    assert "extrapolation" in str(voices_note(4))


@given(seed=st.integers(0, 1000), speakers=st.integers(1, 4), gain=st.sampled_from([0.25, 2.0, 64.0]))
def test_the_pair_does_not_depend_on_the_overall_loudness(seed: int, speakers: int, gain: float) -> None:
    activity_SF = torch.rand(speakers, 30, generator=torch.Generator().manual_seed(seed))
    pair = active_pair(activity_SF, range(5, 20))
    assert pair == active_pair(activity_SF * gain, range(5, 20))
    assert len(pair) == min(speakers, 2)
    silent = [speaker for speaker in range(speakers) if speaker not in pair]
    energy = activity_SF[:, 5:20].sum(dim=1)
    assert all(energy[quiet] <= energy[list(pair)].min() for quiet in silent)


def test_activity_of_a_long_track_is_measured_in_stretches() -> None:
    samples_CT = torch.randn(1, 441 * 2300, generator=torch.Generator().manual_seed(0))
    activity_F = track_activity(Waveform(samples_CT, 11_025), 2300)
    expected_F = samples_CT.reshape(2300, 441).double().square().mean(dim=1).float()
    torch.testing.assert_close(activity_F, expected_F)
