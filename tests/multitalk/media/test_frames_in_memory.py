import numpy as np
import pytest
import torch
from evertalk_pack.multitalk.common.errors import ResultError
from evertalk_pack.multitalk.media.frames_in_memory import FramesInMemory, frames_of


def signed_frames() -> torch.Tensor:
    return torch.tensor([-1.5, -1.0, 0.0, 1.0])[:, None, None, None].expand(4, 8, 8, 3).clone()


def unit_frames(frames_FHWC: torch.Tensor) -> tuple[torch.Tensor, tuple[str, ...]]:
    return FramesInMemory(frames_FHWC, "").unit_frames()


def test_float_frames_map_from_minus_one_to_one_and_stay_unchanged() -> None:
    video = signed_frames()
    frames, notes = unit_frames(video)
    assert frames[:, 0, 0, 0].tolist() == [0.0, 0.0, 0.5, 1.0]
    assert not notes
    assert torch.equal(video, signed_frames())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(dtype: torch.dtype) -> None:
    frames, _ = unit_frames(signed_frames().to(dtype).requires_grad_())
    assert frames.dtype == torch.float32
    assert not frames.requires_grad
    assert frames[:, 0, 0, 0].tolist() == [0.0, 0.0, 0.5, 1.0]


def test_frames_may_have_a_batch_axis_an_alpha_channel_or_bytes() -> None:
    bytes_FHWC = torch.full((2, 8, 8, 4), 255, dtype=torch.uint8)
    found = frames_of(bytes_FHWC[None])
    assert found is not None
    frames, notes = unit_frames(found)
    assert torch.equal(frames, torch.ones(2, 8, 8, 3))
    assert not notes


def test_videos_of_a_batch_follow_one_another() -> None:
    found = frames_of(torch.stack((signed_frames(), -signed_frames())))
    assert found is not None
    assert torch.equal(found, torch.cat((signed_frames(), -signed_frames())))


def test_arrays_and_lists_of_frames_are_frames() -> None:
    frames = signed_frames()
    for video in (frames.numpy(), list(frames), tuple(frame.numpy() for frame in frames)):
        found = frames_of(video)
        assert found is not None
        assert torch.equal(found, frames)


@pytest.mark.parametrize(
    "video",
    [
        None,
        "video.mp4",
        [],
        [torch.zeros(8, 8, 3), torch.zeros(8, 9, 3)],
        [torch.zeros(8, 8, 3), "frame"],
        torch.zeros(8, 8, 3),
        torch.zeros(2, 8, 8, 1),
        torch.zeros(0, 8, 8, 3),
        torch.zeros(2, 8, 8, 3, dtype=torch.int64),
        np.zeros((2, 8, 8, 3), dtype=np.int64),
        np.zeros((2, 8, 8, 3), dtype=object),
    ],
)
def test_what_is_no_video_is_none(video: object) -> None:
    assert frames_of(video) is None


def test_frames_with_nan_become_black_there_and_are_counted() -> None:
    video = signed_frames()
    video[2, 0, 0] = torch.nan
    video[3, 1] = torch.inf
    frames, notes = unit_frames(video)
    assert frames[2, 0, 0].tolist() == frames[3, 1, 0].tolist() == [0.0, 0.0, 0.0]
    assert frames[2, 1, 1].tolist() == [0.5, 0.5, 0.5]
    assert len(notes) == 1
    assert "2 of 4 frames hold NaN or infinite values, from frame 3 on" in notes[0]


def test_frames_whose_sum_alone_overflows_are_left_as_they_are() -> None:
    video = torch.full((2, 8, 8, 3), 3e38)
    assert unit_frames(video)[0].unique().tolist() == [1.0]


def test_a_video_without_any_number_is_refused() -> None:
    with pytest.raises(ResultError, match=r"every frame of 'video' holds NaN.*run the sampler again"):
        unit_frames(torch.full((2, 8, 8, 3), torch.nan))


@pytest.mark.parametrize(("scale", "offset"), [(0.5, 0.5), (127.5, 127.5), (100.0, 0.0)])
def test_frames_of_another_range_are_doubted(scale: float, offset: float) -> None:
    _, (note,) = unit_frames(signed_frames().clamp(-1, 1) * scale + offset)
    assert "are taken as -1 (black) to 1 (white)" in note
