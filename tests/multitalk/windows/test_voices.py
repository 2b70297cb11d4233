import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.common.mask_places import Box, Place, default_masks
from evertalk_pack.multitalk.common.size_buckets import Size
from evertalk_pack.multitalk.common.types import TAIL_FRAMES, Waveform
from evertalk_pack.multitalk.speakers.masks import make_speaker_masks
from evertalk_pack.multitalk.speech.embeds import AudioEmbeds
from evertalk_pack.multitalk.windows.plan import plan_windows
from evertalk_pack.multitalk.windows.voices import VoicePlan, context_indices, window_of_frames

FRAMES = 20
PICTURE = Size(64, 128)
VIDEO = Size(32, 64)
WINDOWS = plan_windows(FRAMES, 9, 1)  # from frames 0, 8, 16


def embeds(
    speakers: int, places: tuple[Place, ...] = (), spoken: list[list[int]] | None = None
) -> AudioEmbeds:
    """Tracks of random features; `spoken` has each speaker's power in each window's first frame."""
    generator = torch.Generator().manual_seed(speakers)
    tracks = tuple(torch.randn(FRAMES + TAIL_FRAMES, 1, 2, generator=generator) for _ in range(speakers))
    activity_SF = torch.zeros(speakers, FRAMES)
    if spoken is not None:
        activity_SF[:, 1::8] = torch.tensor(spoken).float()
    sound = Waveform(torch.zeros(1, FRAMES * 640), 16000)
    return AudioEmbeds(tracks, FRAMES, sound, activity_SF, places)


def columns(left: int, right: int, frames: int | None = None) -> torch.Tensor:
    mask = torch.zeros(*PICTURE)
    mask[:, left:right] = 1
    return mask if frames is None else mask.expand(frames, -1, -1).clone()


THIRDS = (columns(0, 32), columns(32, 96), columns(96, 128))


def test_one_speaker_is_heard_everywhere() -> None:
    plan = VoicePlan(embeds(1), PICTURE, VIDEO)
    voices = plan(WINDOWS[1])
    assert voices.token_masks_MP is None
    assert torch.equal(voices.audio_SFKLC[0], window_of_frames(plan.embeds.tracks_NLC[0], 8, 9))
    assert plan.notes(WINDOWS) == ()


def test_a_window_that_leads_in_hears_silence_before_the_video_begins() -> None:
    plan = VoicePlan(embeds(1), PICTURE, VIDEO)
    [track_NLC] = plan.embeds.tracks_NLC
    first, second = plan_windows(FRAMES, 17, 5, leads=True)
    audio_FKLC = plan(first).audio_SFKLC[0]
    assert torch.equal(audio_FKLC[:5, 2], track_NLC[-5:]), "the end of the encoded silence"
    assert torch.equal(audio_FKLC[5:, 2], track_NLC[:12])
    assert torch.equal(audio_FKLC[5], track_NLC[[-2, -1, 0, 1, 2]])
    assert torch.equal(plan(second).audio_SFKLC[0], window_of_frames(track_NLC, 7, 17))


def test_two_speakers_without_places_have_the_halves() -> None:
    plan = VoicePlan(embeds(2), PICTURE, VIDEO)
    voices = plan(WINDOWS[2])
    expected = make_speaker_masks(default_masks(2, *PICTURE), 2, *VIDEO).token_MK
    assert voices.token_masks_MP is not None
    assert torch.equal(voices.token_masks_MP, expected)
    assert voices.audio_SFKLC.shape == (2, 9, 5, 1, 2)


def test_a_silent_one_of_two_keeps_their_voice_and_place() -> None:
    plan = VoicePlan(embeds(2, spoken=[[1, 1, 1], [0, 0, 0]]), PICTURE, VIDEO)
    assert [plan.heard(window) for window in WINDOWS] == [(0, 1)] * 3
    assert plan(WINDOWS[0]).audio_SFKLC.shape[0] == 2


def test_of_three_the_two_that_speak_in_the_window_are_heard_and_the_third_is_background() -> None:
    plan = VoicePlan(embeds(3, THIRDS, [[1, 0, 0], [1, 1, 0], [0, 1, 1]]), PICTURE, VIDEO)
    assert [plan.heard(window) for window in WINDOWS] == [(0, 1), (1, 2), (0, 2)]
    voices = plan(WINDOWS[2])
    assert voices.token_masks_MP is not None
    assert voices.token_masks_MP.view(3, 2, 4)[:, 0].tolist() == [[1, 0, 0, 0], [0, 0, 0, 1], [0, 1, 1, 0]]
    for index, speaker in enumerate((0, 2)):
        expected = window_of_frames(plan.embeds.tracks_NLC[speaker], 16, 9)
        assert torch.equal(voices.audio_SFKLC[index], expected)


def test_still_masks_are_made_once() -> None:
    plan = VoicePlan(embeds(3, THIRDS, [[1, 0, 0], [1, 1, 0], [0, 1, 1]]), PICTURE, VIDEO)
    plan.notes(WINDOWS)
    for window in WINDOWS:
        plan(window)
    assert list(plan.made) == [(0, 0, 0)]


def test_boxes_are_places_too() -> None:
    boxes = (Box(0, 0, 64, 64), Box(50, 0, 50, 100, percent=True))
    voices = VoicePlan(embeds(2, boxes), PICTURE, VIDEO)(WINDOWS[0])
    assert voices.token_masks_MP is not None
    assert voices.token_masks_MP[0].tolist() == [1, 1, 0, 0] * 2


def test_a_moving_mask_counts_as_it_is_at_the_windows_first_frame() -> None:
    moving = columns(64, 128, frames=12)
    moving[8:] = columns(96, 128)
    plan = VoicePlan(embeds(2, (columns(0, 32), moving)), PICTURE, VIDEO)
    tokens = [plan(window).token_masks_MP for window in WINDOWS]
    rows = [[1, 1], [0, 1], [0, 1]]  # the last: past its end, its last frame
    for masks_MP, (middle, right) in zip(tokens, rows, strict=True):
        assert masks_MP is not None
        assert masks_MP[1].tolist() == [0, 0, middle, right] * 2


def test_where_a_moving_mask_shows_nobody_the_nearest_frame_that_does_is_used_and_said() -> None:
    moving = columns(96, 128, frames=FRAMES)
    moving[5:10] = 0
    moving[10:] = columns(64, 96)
    plan = VoicePlan(embeds(2, (columns(0, 32), moving)), PICTURE, VIDEO)
    assert [plan.frames(window)[1] for window in WINDOWS] == [0, 10, 16]
    assert plan.notes(WINDOWS) == ("The mask of speaker B shows nobody at frame 8; frame 10 is used.",)


def test_a_person_in_the_cropped_margin_counts_as_not_shown() -> None:
    moving = columns(56, 72, frames=FRAMES)
    moving[8:] = columns(0, 16)  # the video keeps columns 32 to 96
    plan = VoicePlan(embeds(2, (columns(72, 96), moving)), PICTURE, Size(64, 64))
    assert [plan.frames(window)[1] for window in WINDOWS] == [0, 7, 7]


def test_a_mask_that_never_shows_anybody_is_refused() -> None:
    plan = VoicePlan(embeds(2, (columns(72, 96), columns(0, 0, frames=FRAMES))), PICTURE, VIDEO)
    with pytest.raises(InputError, match="mask of speaker B: it is empty"):
        plan.notes(WINDOWS)


def test_a_mask_wholly_in_the_margin_is_refused() -> None:
    plan = VoicePlan(embeds(2, (columns(72, 96), columns(0, 16))), PICTURE, Size(64, 64))
    with pytest.raises(InputError, match="mask of speaker B: it lies wholly in the margin"):
        plan.notes(WINDOWS)


def test_masks_of_another_size_are_resized_and_it_is_said() -> None:
    small = torch.zeros(32, 32)
    small[:, :8] = 1
    plan = VoicePlan(embeds(2, (small, columns(64, 128))), PICTURE, VIDEO)
    assert plan.notes(WINDOWS) == ("The mask of speaker A is 32x32; it was resized to the picture's 128x64.",)
    voices = plan(WINDOWS[0])
    assert voices.token_masks_MP is not None
    assert voices.token_masks_MP[0].tolist() == [1, 0, 0, 0] * 2


def test_overlaps_and_vanishing_masks_are_said_once() -> None:
    speck = torch.zeros(FRAMES, *PICTURE)
    for frame in range(FRAMES):
        speck[frame, 21, 70 + frame] = 1
    plan = VoicePlan(embeds(2, (columns(0, 128), speck)), PICTURE, VIDEO)
    notes = plan.notes(WINDOWS)
    assert [note.split(" ")[:6] for note in notes] == [
        ["The", "masks", "of", "speakers", "A", "and"],
        ["The", "mask", "of", "speaker", "B", "is"],
    ]
    assert plan.notes(WINDOWS) == notes


def test_context_is_two_frames_before_to_two_after() -> None:
    assert context_indices(100, 10, 2).tolist() == [[8, 9, 10, 11, 12], [9, 10, 11, 12, 13]]


def test_context_is_clamped_to_both_ends_of_the_track() -> None:
    assert context_indices(4, 0, 1).tolist() == [[0, 0, 0, 1, 2]]
    assert context_indices(4, 3, 2).tolist() == [[1, 2, 3, 3, 3], [2, 3, 3, 3, 3]]


def test_a_window_holds_the_features_of_its_context() -> None:
    track_NLC = torch.arange(6.0)[:, None, None].expand(6, 3, 2)
    window = window_of_frames(track_NLC, 1, 4)
    assert window.shape == (4, 5, 3, 2)
    assert window[:, 2, 0, 0].tolist() == [1, 2, 3, 4]
    assert window[0, :, 2, 1].tolist() == [0, 0, 1, 2, 3]
