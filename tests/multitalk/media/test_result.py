from pathlib import Path

import pytest
import torch
from evertalk_pack.multitalk.common.errors import ResultError
from evertalk_pack.multitalk.media.frames_in_memory import FramesInMemory
from evertalk_pack.multitalk.media.result import (
    RawLatents,
    SavedFrames,
    SavedVideo,
    VideoObject,
    classify,
    describe,
    needs_vae,
)


class VideoLike:
    """Has what ComfyUI's VIDEO values have."""

    def get_components(self) -> object:
        raise AssertionError("not to be opened")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "talk.mp4"
    path.write_bytes(b"only its existence counts")
    return path


def video_latents(frames: int = 3) -> torch.Tensor:
    return torch.arange(frames).float()[None, None, :, None, None].expand(1, 16, frames, 2, 2).clone()


def signed_frames() -> torch.Tensor:
    return torch.tensor([-1.5, -1.0, 0.0, 1.0])[:, None, None, None].expand(4, 8, 8, 3).clone()


def test_video_with_a_path_is_the_saved_file(saved: Path) -> None:
    for video in ({"path": str(saved), "frames": 3}, None, str(saved), signed_frames(), VideoLike()):
        assert classify({"video": video, "output_path": str(saved)}) == SavedVideo(saved)


def test_path_under_video_alone_is_enough(saved: Path) -> None:
    assert classify({"video": str(saved)}) == SavedVideo(saved)
    assert classify({"video": saved, "output_path": ""}) == SavedVideo(saved)
    assert classify({"video": {"path": str(saved)}}) == SavedVideo(saved)


def test_frames_in_memory_stand_in_for_a_file_that_is_gone(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone.mp4")
    frames = classify({"video": signed_frames(), "output_path": gone})
    video = classify({"video": VideoLike(), "output_path": gone})
    assert isinstance(frames, FramesInMemory)
    assert isinstance(video, VideoObject)
    assert (frames.lost_path, video.lost_path) == (gone, gone)


@pytest.mark.parametrize("video", [{"path": "PATH", "frames": 3}, None, "PATH", torch.zeros(1, 64, 64, 3)])
def test_file_that_is_gone_with_nothing_in_memory_is_named(tmp_path: Path, video: object) -> None:
    gone = str(tmp_path / "gone.mp4")
    with pytest.raises(ResultError, match=r"gone\.mp4 is gone.*run the sampler again"):
        classify({"video": video, "output_path": gone})


@pytest.mark.parametrize("video", [{"path": "PATH", "frames": 3}, None, "PATH", torch.zeros(1, 64, 64, 3)])
def test_latents_stand_in_for_a_file_that_is_gone(tmp_path: Path, video: object) -> None:
    gone = str(tmp_path / "gone.mp4")
    samples = {"video": video, "output_path": gone, "samples": video_latents()}
    result = classify(samples)
    assert isinstance(result, RawLatents)
    assert result.lost_path == gone
    assert needs_vae(samples)


def test_a_path_that_no_disk_could_hold_is_gone() -> None:
    for path in ("a" * 5000, "a\0b"):
        with pytest.raises(ResultError, match="is gone"):
            classify({"video": None, "output_path": path})


def test_frames_in_memory_stand_in_for_an_empty_folder(tmp_path: Path) -> None:
    result = classify({"video": signed_frames(), "output_path": str(tmp_path)})
    assert isinstance(result, FramesInMemory)
    assert result.lost_path == str(tmp_path)
    (tmp_path / "frame_00000.png").touch()
    assert isinstance(classify({"video": signed_frames(), "output_path": str(tmp_path)}), SavedFrames)


def test_folder_of_pictures_is_read_in_order(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        (tmp_path / f"frame_{number:05d}.png").touch()
    result = classify({"video": torch.zeros(1, 64, 64, 3), "output_path": str(tmp_path)})
    assert isinstance(result, SavedFrames)
    assert [picture.name for picture in result.pictures] == [
        "frame_00001.png",
        "frame_00002.png",
        "frame_00010.png",
    ]


def test_folder_without_pictures_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="holds no frame_"):
        classify({"video": torch.zeros(1, 64, 64, 3), "output_path": str(tmp_path)})


def test_latents_of_a_core_sampler() -> None:
    for shape in ((2, 4, 8, 8), (1, 16, 3, 8, 8)):
        samples = torch.zeros(shape)
        result = classify({"samples": samples})
        assert isinstance(result, RawLatents)
        assert (result.latents.shape, result.video_frames, result.sound) == (samples.shape, None, None)


def test_of_several_latents_the_first_is_the_video() -> None:
    class Several:
        """As the host's NestedTensor."""

        def unbind(self) -> tuple[torch.Tensor, torch.Tensor]:
            return video_latents(), torch.zeros(1, 8, 10)

    result = classify({"samples": Several()})
    assert isinstance(result, RawLatents)
    assert torch.equal(result.latents, video_latents())


def test_latents_of_our_sampler_carry_length_and_sound() -> None:
    audio = {"waveform": torch.ones(1, 2, 100), "sample_rate": 44100}
    result = classify({"samples": video_latents(), "has_ref": False, "video_frames": 7, "audio": audio})
    assert isinstance(result, RawLatents)
    assert result.sound is not None
    assert (result.video_frames, result.sound.sample_rate_hz) == (7, 44100)
    assert tuple(result.sound.samples_CT.shape) == (2, 100)


def test_reference_frame_and_surplus_last_frame_are_dropped() -> None:
    for flags, kept in (({"has_ref": True}, [1, 2]), ({"has_ref": True, "drop_last": True}, [1])):
        result = classify({"samples": video_latents(), **flags})
        assert isinstance(result, RawLatents)
        assert result.latents[0, 0, :, 0, 0].tolist() == kept


def test_nothing_left_after_the_reference_is_refused() -> None:
    with pytest.raises(ResultError, match="no frame would be left"):
        classify({"samples": video_latents(1), "has_ref": True})
    with pytest.raises(ResultError, match="no frame would be left"):
        classify({"samples": torch.zeros(1, 4, 8, 8), "has_ref": True})


@pytest.mark.parametrize(
    ("result", "found"),
    [
        ({}, "keys: none"),
        ({"frames": 3, "images": torch.zeros(1, 2)}, r"frames \(int\), images \(Tensor \(1, 2\)"),
        ({"video": None}, r"video \(NoneType\)"),
        ({"video": None, "output_path": ""}, r"video \(NoneType\)"),
        ({"video": 7}, r"video \(int\)"),
        ({"video": {"frames": 3}}, r"video \(dict\)"),
        ({"video": torch.zeros(3, 3)}, r"video \(Tensor \(3, 3\)"),
        ({"video": torch.zeros(0, 8, 8, 3)}, r"video \(Tensor \(0, 8, 8, 3\)"),
        ({"video": torch.zeros(1, 8, 8, 3, dtype=torch.int64)}, "int64"),
        ({"samples": None}, r"samples \(NoneType\)"),
        ({"samples": torch.zeros(2, 2)}, r"samples \(Tensor \(2, 2\)"),
        (None, "a NoneType"),
        (torch.zeros(1), "a Tensor"),
        ([1], "a list"),
    ],
)
def test_unknown_form_names_what_was_found_and_expected(result: object, found: str) -> None:
    with pytest.raises(ResultError, match=rf"Unexpected structure.*{found}.*'video'.*'samples'"):
        classify(result)
    assert not needs_vae(result)


def test_bad_length_or_sound_of_latents_is_refused() -> None:
    with pytest.raises(ResultError, match="video_frames is 0"):
        classify({"samples": video_latents(), "video_frames": 0})
    for audio in ("speech.wav", {"waveform": torch.zeros(1, 2)}, {"waveform": torch.zeros(1, 1, 2)}):
        with pytest.raises(ResultError, match=r"its audio is type.*expected an AUDIO"):
            classify({"samples": video_latents(), "audio": audio})


def test_only_latents_need_a_vae(saved: Path) -> None:
    assert needs_vae({"samples": video_latents()})
    assert not needs_vae({"video": None, "output_path": str(saved)})
    assert not needs_vae({"samples": video_latents(), "video": signed_frames()})


def test_description_lists_type_and_keys() -> None:
    line = describe({"samples": torch.zeros(1, 2), "has_ref": False})
    assert line == "Sampler output type: dict, keys: has_ref (bool), samples (Tensor (1, 2) torch.float32)"
    assert describe(None) == "Sampler output type: NoneType"
