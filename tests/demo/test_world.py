import torch
from lipsync import MOUTH_TO, openings_px
from world.draw import MOUTH_REACH, Cut, Pose, draw
from world.mouth import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME, mouth_law
from world.people import HEIGHT_PX, MOUTH_COLOUR, make_people, make_stage
from world.poses import swaying
from world.sounds import made_up_voice, probe_signal


def still(opening: torch.Tensor, eyes: float = 1.0) -> Pose:
    """Heads that keep still, with mouths (N, S, F)."""
    rest = torch.zeros_like(opening)
    return Pose(opening, rest, torch.full_like(opening, eyes), rest, rest)


def test_the_same_seed_makes_the_same_people_and_another_seed_others() -> None:
    first, again, other = make_people(3, 4, 1), make_people(3, 4, 1), make_people(4, 4, 1)
    assert torch.equal(first.skin_NS3, again.skin_NS3)
    assert torch.equal(first.x_NS, again.x_NS)
    assert not torch.equal(first.skin_NS3, other.skin_NS3)


def test_pictures_hold_colours_and_nobody_has_a_mouths_colour() -> None:
    shut = still(torch.zeros(24, 2, 1))
    for people in (1, 2):
        pictures = draw(make_people(people, 24, people), make_stage(5, 24), shut)
        assert pictures.shape == (24, 1, 3, HEIGHT_PX, HEIGHT_PX)
        assert float(pictures.min()) >= 0
        assert float(pictures.max()) <= 1
        assert float(openings_px(pictures[:, 0].movedim(1, -1)).max()) < 0.1


def test_the_measured_height_of_a_mouth_is_the_drawn_one() -> None:
    opening = torch.linspace(0, 1, 9).expand(6, 2, 9)
    people, stage = make_people(8, 6, 1), make_stage(9, 6)
    videos = draw(people, stage, still(opening)).movedim(2, -1)
    for scene, video in enumerate(videos):
        drawn_px = 2 * MOUTH_REACH * people.height_NS[scene, 0] * opening[0, 0]
        assert torch.allclose(openings_px(video), drawn_px, atol=2.0)


def test_each_of_two_people_has_a_mouth_of_their_own() -> None:
    opening = torch.zeros(1, 2, 2)
    opening[:, 0, 0] = 1
    opening[:, 1, 1] = 1
    video = draw(make_people(2, 1, 2), make_stage(2, 1), still(opening))[0].movedim(1, -1)
    left, right = openings_px(video, slice(0, 64)), openings_px(video, slice(64, 128))
    assert left[0] > 6
    assert left[1] < 1
    assert right[1] > 6
    assert right[0] < 1


def test_a_cut_is_a_part_of_the_whole_picture() -> None:
    people, stage, pose = make_people(1, 2, 1), make_stage(1, 2), still(torch.full((2, 2, 1), 0.5))
    cut = draw(people, stage, pose, Cut(torch.tensor([30.0, 10.0]), torch.tensor([5.0, 60.0]), 48))
    whole = draw(people, stage, pose)
    assert torch.allclose(cut[0], whole[0, :, :, 5:53, 30:78])
    assert torch.allclose(cut[1], whole[1, :, :, 60:108, 10:58])


def test_heads_sway_little_and_eyes_blink() -> None:
    opening = torch.zeros(40, 2, 66)
    pose = swaying(torch.Generator().manual_seed(1), opening, opening)
    assert float(pose.dx.abs().max()) <= 1.5
    assert float(pose.dx.diff(dim=-1).abs().max()) < 0.2
    assert float(pose.eyes.min()) < 0.2
    assert float(pose.eyes.mean()) > 0.9


def test_mouths_follow_loudness_relative_to_the_track_and_shut_in_silence() -> None:
    time_s = torch.arange(2 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    hum = (2 * torch.pi * 150 * time_s).sin()
    hum[SAMPLE_RATE_HZ:] = 0
    law = mouth_law(hum, 60, len(hum))
    assert float(law.opening_F[3:20].min()) > 0.7
    assert float(law.opening_F[28:].max()) < 1e-6
    quiet = mouth_law(0.01 * hum, 60, len(hum))
    assert torch.allclose(quiet.opening_F, law.opening_F, atol=1e-4)
    assert float(mouth_law(torch.zeros(SAMPLE_RATE_HZ), 25).opening_F.max()) == 0


def test_hisses_make_mouths_narrow() -> None:
    generator = torch.Generator().manual_seed(2)
    noise = torch.randn(SAMPLE_RATE_HZ, generator=generator)
    time_s = torch.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    hum = (2 * torch.pi * 150 * time_s).sin()
    assert float(mouth_law(noise, 25).narrow_F.mean()) > 0.8
    assert float(mouth_law(hum, 25).narrow_F.mean()) < 0.1


def test_made_up_voices_are_repeatable_and_speak_and_pause() -> None:
    voice = made_up_voice(5, 6.0)
    assert len(voice) == 6 * SAMPLE_RATE_HZ
    assert torch.equal(voice, made_up_voice(5, 6.0))
    assert not torch.equal(voice, made_up_voice(6, 6.0))
    opening = mouth_law(voice, len(voice) // SAMPLES_PER_FRAME).opening_F
    assert float(opening.std()) > 0.15
    assert float(opening.min()) < 0.1
    assert torch.isfinite(voice).all()


def test_probe_signals_are_finite_and_of_the_asked_length() -> None:
    generator = torch.Generator().manual_seed(3)
    signals = [probe_signal(generator, 1.0) for _ in range(12)]
    assert {len(signal) for signal in signals} == {SAMPLE_RATE_HZ}
    assert all(torch.isfinite(signal).all() for signal in signals)
    assert any(not signal.any() for signal in signals)


def test_the_inside_of_a_mouth_counts_whole() -> None:
    red, green, _ = MOUTH_COLOUR
    assert red - green > MOUTH_TO
