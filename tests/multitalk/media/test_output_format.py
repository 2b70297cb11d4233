"""Forms of the video: each keeps what it promises, and resumes like the first."""

import zipfile
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from evertalk_pack.multitalk.common.errors import RunStoreError
from evertalk_pack.multitalk.media import picture_sequence
from evertalk_pack.multitalk.media.output_format import (
    EXR_SEQUENCE,
    MKV_FFV1,
    MP4_H264,
    MP4_HEVC10,
    OUTPUT_FORMATS,
    PNG_SEQUENCE,
    OutputFormat,
    PictureFormat,
    StreamFormat,
    offered_formats,
)
from evertalk_pack.multitalk.media.picture_codecs import Exr, Png, from_linear, to_linear
from evertalk_pack.multitalk.media.picture_reader import read_pictures
from evertalk_pack.multitalk.media.picture_sequence import check_archive, pictures_of, write_archive
from evertalk_pack.multitalk.media.result import SavedFrames, classify
from evertalk_pack.multitalk.media.segment import Piece
from evertalk_pack.multitalk.media.stream_codecs import VideoSettings
from evertalk_pack.multitalk.media.video_reader import codec_of, read_frames, read_sound
from evertalk_pack.multitalk.runs.manifest import NAME, read_manifest
from evertalk_pack.multitalk.runs.pausing import Pausing
from evertalk_pack.multitalk.windows.loop import generate
from evertalk_pack.multitalk.windows.seeds import WindowSeeds
from PIL import Image
from toy_run import QUICK, ToyBackend, ToyRun, bytes_of

FORMS = [form for form in OUTPUT_FORMATS if form.is_offered]
LATER = FORMS[1:]
"""All but the first, which other tests are about."""

WINDOWS, FRAMES = 5, 60


def named(value: object) -> str:
    return str(getattr(value, "name", value))


def frames_of(video: Path) -> torch.Tensor:
    result = classify({"video": {}, "output_path": str(video)})
    if isinstance(result, SavedFrames):
        return torch.stack(list(read_pictures(result.pictures)))
    return read_frames(video)


def ramp() -> torch.Tensor:
    """Frames with soft gradients of more than 8 bits, (F, H, W, 3)."""
    return torch.linspace(0, 1, 4 * 32 * 32 * 3).reshape(4, 32, 32, 3)


def whole_run(folder: Path, form: OutputFormat) -> Path:
    folder.mkdir()
    return ToyRun(folder, written_as=form).play()


@pytest.mark.parametrize("form", LATER, ids=named)
def test_run_that_pauses_has_the_same_bytes_and_makes_no_window_twice(
    tmp_path: Path, form: OutputFormat
) -> None:
    expected = bytes_of(whole_run(tmp_path / "whole", form))
    made: list[int] = []
    videos: list[Path] = []
    lengths: list[int] = []
    output = tmp_path / "output"
    output.mkdir()
    for _ in range(3):
        run = ToyRun(output, written_as=form, pausing=Pausing(2))
        videos.append(run.play())
        lengths.append(len(frames_of(videos[-1])))
        made += run.backend.sampled
    assert made == list(range(WINDOWS))
    assert lengths == [17 + 12, 17 + 3 * 12, FRAMES]
    assert bytes_of(videos[-1]) == expected


@pytest.mark.parametrize("form", LATER, ids=named)
def test_finished_video_gives_its_first_windows_to_another_run(tmp_path: Path, form: OutputFormat) -> None:
    output, scratch = tmp_path / "output", tmp_path / "scratch"
    output.mkdir()
    scratch.mkdir()
    seeds = WindowSeeds(((2, 99),))
    ToyRun(output, written_as=form).play()
    again = ToyRun(output, written_as=form, window_seeds=seeds)
    video = again.play()
    assert again.backend.sampled == [2, 3, 4]
    assert bytes_of(video) == bytes_of(ToyRun(scratch, written_as=form, window_seeds=seeds).play())


@pytest.mark.parametrize("form", FORMS, ids=named)
def test_finished_run_is_found_again_and_leaves_no_segments(tmp_path: Path, form: OutputFormat) -> None:
    first = ToyRun(tmp_path, written_as=form)
    video = first.play()
    assert first.store is not None
    assert {file.suffix for file in first.store.folder.iterdir()} == {".json", ".safetensors"}
    again = ToyRun(tmp_path, written_as=form)
    assert again.play() == video
    assert again.backend.sampled == []
    assert video.name == f"toy_00001_{form.suffix}"


@pytest.mark.parametrize("form", LATER, ids=named)
def test_damaged_segment_is_made_again(tmp_path: Path, form: OutputFormat) -> None:
    output = tmp_path / "output"
    output.mkdir()
    run = ToyRun(output, written_as=form, pausing=Pausing(4))
    run.play()
    assert run.store is not None
    (segment,) = run.store.folder.glob("w000002.*")
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 255
    segment.write_bytes(content)
    again = ToyRun(output, written_as=form)
    assert bytes_of(again.play()) == bytes_of(whole_run(tmp_path / "whole", form))
    assert again.backend.sampled == [2, 3, 4]


@pytest.mark.parametrize("form", [PNG_SEQUENCE, EXR_SEQUENCE], ids=named)
def test_folder_that_lost_a_picture_is_left_alone_and_made_anew(tmp_path: Path, form: PictureFormat) -> None:
    video = ToyRun(tmp_path, written_as=form).play()
    picture = video / f"000007{form.codec.suffix}"
    picture.unlink()
    again = ToyRun(tmp_path, written_as=form)
    assert again.play().name == "toy_00002_"
    assert not picture.exists()


def test_each_form_is_a_run_of_its_own(tmp_path: Path) -> None:
    videos = [ToyRun(tmp_path, written_as=form).play().name for form in FORMS]
    assert sorted(videos) == [f"toy_{n:05}_{form.suffix}" for n, form in enumerate(FORMS, start=1)]


@pytest.mark.parametrize(
    ("form", "largest"),
    [
        (MKV_FFV1, 0.5 / 1023),
        (PNG_SEQUENCE, 0.5 / 255),
        (EXR_SEQUENCE, 4e-4),
    ],
    ids=named,
)
def test_frames_come_back_as_exactly_as_the_bits_of_a_lossless_form_can(
    tmp_path: Path, form: OutputFormat, largest: float
) -> None:
    video = ToyRun(tmp_path, frames=17, written_as=form).play()
    (exact,) = [done.frames_FHWC for done in generate(ToyRun(tmp_path, frames=17).spec(), ToyBackend())]
    assert (frames_of(video) - exact.clamp(0, 1)).abs().max() <= largest * 1.001


@pytest.mark.parametrize("form", [MKV_FFV1, EXR_SEQUENCE], ids=named)
def test_soft_gradients_keep_more_than_8_bits(tmp_path: Path, form: OutputFormat) -> None:
    segment, video = tmp_path / f"w{form.segment_suffix}", tmp_path / f"v{form.suffix}"
    form.write_segment(segment, ramp(), QUICK)
    form.make(video, [Piece(segment, 0, 4)], None, {}, QUICK, complete=True)
    levels = {MKV_FFV1.name: 1000, EXR_SEQUENCE.name: 3000}
    assert len(frames_of(video).unique()) > levels[form.name]


def test_10_bits_reach_the_file(tmp_path: Path) -> None:
    if not MP4_HEVC10.is_offered:
        pytest.skip("this FFmpeg has no libx265")
    path = tmp_path / "w.mp4"
    grey = torch.linspace(0.4, 0.45, 64).expand(3, 64, 64)[..., None].expand(3, 64, 64, 3)
    MP4_HEVC10.write_segment(path, grey, QUICK)
    assert codec_of(path) == "hevc"
    assert b"hvc1" in path.read_bytes()
    assert len(read_frames(path)[0, 32].mean(-1).unique()) > 14, "13 levels of 8 bits"


def test_lossless_forms_keep_the_sound_to_the_bit(tmp_path: Path) -> None:
    for form in (MKV_FFV1, PNG_SEQUENCE):
        run = ToyRun(tmp_path, written_as=form)
        video = run.play()
        sound = read_sound(video / "sound.wav" if video.is_dir() else video)
        assert sound is not None
        assert torch.equal(sound.samples_CT, run.sound.samples_CT)


def test_sound_of_an_unfinished_sequence_ends_with_its_pictures(tmp_path: Path) -> None:
    folder = ToyRun(tmp_path, written_as=PNG_SEQUENCE, pausing=Pausing(2)).play()
    sound = read_sound(folder / "sound.wav")
    assert sound is not None
    assert sound.samples_CT.shape[1] == (17 + 12) * 640
    assert (folder / "workflow.json").read_text() == '{"prompt": {}}'


def test_pictures_have_the_names_and_colours_that_others_expect(tmp_path: Path) -> None:
    folder = ToyRun(tmp_path, frames=17, written_as=PNG_SEQUENCE).play()
    assert sorted(file.name for file in folder.glob("*.png")) == [f"{n:06}.png" for n in range(1, 18)]
    frame = torch.rand(16, 24, 3, generator=torch.Generator().manual_seed(1))
    (tmp_path / "one.png").write_bytes(Png().encode(frame))
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.size == (24, 16)
        pixel = picture.getpixel((5, 3))
    assert pixel == tuple((frame[3, 5] * 255).round().int().tolist())


def test_exr_holds_half_floats_of_linear_light(tmp_path: Path) -> None:
    content = Exr().encode(torch.full((16, 16, 3), 0.5))
    assert content[:4] == b"v/1\x01"
    (tmp_path / "000001.exr").write_bytes(content)
    (back,) = read_pictures([tmp_path / "000001.exr"])
    half_linear = ((0.5 + 0.055) / 1.055) ** 2.4
    assert abs(float(to_linear(back[0, 0, 0])) - half_linear) < 1e-4


def test_linear_light_and_srgb_are_inverse_to_each_other() -> None:
    values = torch.linspace(0, 1, 1001)
    assert torch.allclose(from_linear(to_linear(values)), values, atol=1e-6)
    assert float(to_linear(torch.tensor(0.5))) == pytest.approx(0.21404, abs=1e-5)


def test_archive_that_lost_pictures_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "w.zip"
    write_archive(path, [b"a", b"b"], ".png")
    check_archive(path, 2)
    with pytest.raises(RunStoreError, match=r"w\.zip has 2 pictures after 3 were written"):
        check_archive(path, 3)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(RunStoreError, match="cannot be read back after it was written"):
        check_archive(path, 2)
    with pytest.raises(RunStoreError, match=r"w\.zip is damaged"):
        list(pictures_of(Piece(path, 0, 2), ".png"))


def test_archive_that_is_packed_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "w.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("000000.png", b"\0" * 1_000_000)
    with pytest.raises(RunStoreError, match=r"w\.zip is packed, which EverTalk's archives never are"):
        list(pictures_of(Piece(path, 0, 1), ".png"))


def test_folder_with_a_link_in_it_is_no_finished_video(tmp_path: Path) -> None:
    run = ToyRun(tmp_path, written_as=PNG_SEQUENCE)
    video = run.play()
    outside = tmp_path / "outside.png"
    (video / "000003.png").rename(outside)
    (video / "000003.png").symlink_to(outside)
    again = ToyRun(tmp_path, written_as=PNG_SEQUENCE)
    assert again.play() != video
    assert run.store is not None
    assert read_manifest(run.store.folder / NAME).final is not None


def test_sequence_whose_pictures_are_not_all_there_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = tmp_path / "w.zip"
    write_archive(segment, [b"a", b"b"], ".png")

    def always_the_first(_number: int, suffix: str) -> str:
        return f"000000{suffix}"

    monkeypatch.setattr(picture_sequence, "picture_name", always_the_first)
    with pytest.raises(RunStoreError, match="has 1 pictures after 2 were written"):
        PNG_SEQUENCE.make(tmp_path / "folder", [Piece(segment, 0, 2)], None, {}, QUICK, complete=True)


def test_first_form_is_the_default_and_all_of_them_are_offered_here() -> None:
    assert next(iter(offered_formats())) == MP4_H264.name
    assert list(offered_formats()) == [form.name for form in FORMS]


@pytest.mark.parametrize("form", [MP4_H264, MP4_HEVC10, MKV_FFV1], ids=named)
@pytest.mark.parametrize("frames", [1, 2, 3])
def test_windows_of_few_frames_are_written(tmp_path: Path, form: StreamFormat, frames: int) -> None:
    moving = torch.rand(frames, 32, 64, 3, generator=torch.Generator().manual_seed(frames))
    for turn in range(8):  # x265 took times from memory, which were right now and then
        path = tmp_path / f"{turn}{form.suffix}"
        form.write_segment(path, moving, VideoSettings())
        with av.open(str(path)) as container:
            packets: list[Any] = [packet for packet in container.demux(video=0) if packet.size]
        decoded = [packet.dts for packet in packets]
        assert decoded == sorted(set(decoded)), "each is decoded after the one before"
        assert all(packet.dts <= packet.pts for packet in packets)
        assert len(read_frames(path)) == frames
