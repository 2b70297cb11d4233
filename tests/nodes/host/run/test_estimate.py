"""What is said of a run before it runs, from the files that a graph names."""

from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream
from PIL import Image
from source_clips import grey, write_clip

pytestmark = pytest.mark.host

RATE_HZ = 16_000
CUSTOM = {"size": "custom", "width": 832, "height": 480, "window_frames": 81, "motion_frames": 9}
NATIVE = {**CUSTOM, "size": "480p"}
SPEECH = {"audio_embeds": ["7", 0]}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The host's input folder, with two sounds, two pictures and a clip."""
    import folder_paths

    inputs = tmp_path / "input"
    inputs.mkdir()
    monkeypatch.setattr(folder_paths, "input_directory", str(inputs))
    write_sound(inputs / "short.wav", 4.0)
    write_sound(inputs / "long.flac", 12.4)
    Image.new("RGB", (1280, 720)).save(inputs / "wide.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (1280, 720)).save(inputs / "turned.jpg", exif=turned)
    write_clip(inputs / "clip.mp4", [(index / 25, grey(90, 128, 64)) for index in range(5)])
    return inputs


def write_sound(path: Path, seconds: float) -> None:
    with av.open(str(path), "w") as container:
        codec = {".wav": "pcm_s16le", ".flac": "flac", ".m4a": "aac"}[path.suffix]
        stream = cast("AudioStream", container.add_stream(codec, rate=RATE_HZ))
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, round(seconds * RATE_HZ)), np.int16), format="s16", layout="mono"
        )
        frame.sample_rate, frame.time_base, frame.pts = RATE_HZ, Fraction(1, RATE_HZ), 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def estimate(sampler: dict[str, Any], **nodes: tuple[str, dict[str, Any]]) -> Any:
    """The estimate of a sampler with these inputs; other nodes by `nID` as class and inputs."""
    from evertalk_pack.nodes.host.run.estimate import estimate_of

    prompt = {"8": {"class_type": "EverTalkSampler", "inputs": sampler}}
    for name, (kind, inputs) in nodes.items():
        prompt[name[1:]] = {"class_type": kind, "inputs": inputs}
    return estimate_of(prompt, "8")


@pytest.mark.parametrize("loader", ["LoadAudio", "EverTalkLoadSpeech"])
def test_run_of_one_speaker_at_a_custom_size(folder: Path, loader: str) -> None:
    told = estimate(
        {**CUSTOM, **SPEECH},
        n7=("EverTalkAudioEmbeds", {"audio": ["2", 0]}),
        n2=(loader, {"audio": "long.flac"}),
    )
    assert folder.is_dir()
    assert (told.seconds, told.frames, told.windows) == (pytest.approx(12.4), 310, 5)
    assert (told.width, told.height) == (832, 480)
    assert not told.at_least
    assert told.problem == ""


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("name", "size"), [("wide.png", (896, 448)), ("turned.jpg", (448, 832))])
def test_size_comes_from_the_picture_as_it_is_seen(name: str, size: tuple[int, int]) -> None:
    told = estimate({**NATIVE, "start_image": ["1", 0]}, n1=("LoadImage", {"image": name}))
    assert (told.width, told.height) == size
    assert told.frames is None, "nothing is known of the speech"


@pytest.mark.usefixtures("folder")
def test_size_comes_from_the_clip_that_is_dubbed_and_its_cuts_may_add_windows() -> None:
    told = estimate(
        {**NATIVE, **SPEECH, "source": ["4", 0], "start_image": ["1", 0]},
        n1=("LoadImage", {"image": "wide.png"}),
        n4=("EverTalkVideoSource", {"video": ["5", 0], "scene_cuts": "detect"}),
        n5=("LoadVideo", {"file": "clip.mp4"}),
        n7=("EverTalkAudioEmbeds", {"audio": ["2", 0]}),
        n2=("LoadAudio", {"audio": "short.wav"}),
    )
    assert told.height > told.width, "the clip stands upright"
    assert (told.frames, told.windows, told.at_least) == (100, 2, True)


def of_region(sampler: dict[str, Any], **clip: Any) -> Any:
    """The estimate of a region of the clip, which has 64x128 pixels."""
    inputs = {"video": ["5", 0], "work_on": "region", "context": 0.0, "start_s": 0.0, **clip}
    return estimate(
        {**sampler, "source": ["4", 0]},
        n4=("EverTalkVideoSource", inputs),
        n5=("LoadVideo", {"file": "clip.mp4"}),
    )


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("sampler", "region"), [(CUSTOM, (832, 480)), (NATIVE, (896, 448))])
def test_region_has_a_size_of_its_own_and_the_video_that_of_the_clip(
    sampler: dict[str, Any], region: tuple[int, int]
) -> None:
    told = of_region(sampler, region_box="0s: 0%,0%,100%,25%; 1s: 0%,0%,25%,100%")
    assert (told.width, told.height) == (64, 128)
    assert (told.region_width, told.region_height) == region


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "clip",
    [
        {"region": ["3", 0], "region_box": ""},
        {"region_box": "0,0,9,9", "context": ["3", 0]},
        {"region_box": "0,0,9,9", "start_s": 99.0},
        {"region_box": ["3", 0]},
    ],
)
def test_region_s_size_stays_open_where_it_depends_on_what_has_not_run(clip: dict[str, Any]) -> None:
    told = of_region(NATIVE, **clip)
    assert (told.width, told.height, told.region_width, told.problem) == (64, 128, None, "")


@pytest.mark.usefixtures("folder")
def test_box_that_the_run_would_refuse_is_told() -> None:
    told = of_region(NATIVE, region_box="80%,0%,25%,50%")
    assert told.problem.startswith("region_box: the box at 0 s leaves the picture")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("arrangement", "frames"), [("para", 310), ("add", 410)])
def test_voices_that_speak_together_or_in_turn(arrangement: str, frames: int) -> None:
    told = estimate(
        {**CUSTOM, **SPEECH},
        n7=("EverTalkAudioEmbeds", {"speakers": ["6", 0]}),
        n6=("EverTalkSpeakers", {"audio_a": ["2", 0], "audio_b": ["3", 0], "arrangement": arrangement}),
        n2=("LoadAudio", {"audio": "short.wav"}),
        n3=("LoadAudio", {"audio": "long.flac"}),
    )
    assert told.frames == frames


@pytest.mark.usefixtures("folder")
def test_nothing_is_said_of_a_voice_that_another_node_makes() -> None:
    told = estimate(
        {**CUSTOM, **SPEECH},
        n7=("EverTalkAudioEmbeds", {"speakers": ["6", 0]}),
        n6=("EverTalkSpeakers", {"audio_a": ["2", 0], "audio_b": ["99", 0], "arrangement": "para"}),
        n2=("LoadAudio", {"audio": "short.wav"}),
    )
    assert told.frames is None
    assert told.width == 832


@pytest.mark.usefixtures("folder")
def test_linked_window_settings_leave_the_windows_open() -> None:
    told = estimate(
        {**CUSTOM, **SPEECH, "window_frames": ["99", 0]},
        n7=("EverTalkAudioEmbeds", {"audio": ["2", 0]}),
        n2=("LoadAudio", {"audio": "short.wav"}),
    )
    assert told.windows is None


@pytest.mark.usefixtures("folder")
def test_window_settings_are_read_from_primitive_nodes() -> None:
    told = estimate(
        {**CUSTOM, **SPEECH, "window_frames": ["98", 0]},
        n98=("PrimitiveInt", {"value": ["99", 0]}),
        n99=("PrimitiveInt", {"value": 17}),
        n7=("EverTalkAudioEmbeds", {"audio": ["2", 0]}),
        n2=("LoadAudio", {"audio": "short.wav"}),
    )
    assert told.frames == 100
    assert told.windows == 12


@pytest.mark.usefixtures("folder")
def test_settings_that_contradict_are_told_as_the_sampler_would() -> None:
    told = estimate({**CUSTOM, "window_frames": 17, "motion_frames": 17})
    assert told.problem.startswith("motion_frames: 17 frames, expected fewer than window_frames")


def test_file_that_is_no_picture_is_told(folder: Path) -> None:
    (folder / "broken.png").write_bytes(b"no picture")
    told = estimate({**NATIVE, "start_image": ["1", 0]}, n1=("LoadImage", {"image": "broken.png"}))
    assert told.problem == "start_image: broken.png is not a picture. Choose another one."


@pytest.mark.parametrize("name", ["../secret.wav", "/etc/passwd", "../nothing.wav", "../secret.wav [output]"])
def test_file_outside_of_the_host_s_folders_is_not_looked_at(name: str, folder: Path) -> None:
    write_sound(folder.parent / "secret.wav", 1.0)
    told = estimate(
        {**CUSTOM, **SPEECH},
        n7=("EverTalkAudioEmbeds", {"audio": ["2", 0]}),
        n2=("LoadAudio", {"audio": name}),
    )
    assert told.frames is None
    assert told.problem.startswith("audio: ")
    assert "is not a file in ComfyUI's input, output or temp folder" in told.problem, (
        "whether it is there or not"
    )


def test_filling_of_an_encoder_s_last_block_is_no_frame(folder: Path) -> None:
    write_sound(folder / "a.m4a", 0.8)
    told = estimate(
        {**CUSTOM, **SPEECH},
        n7=("EverTalkAudioEmbeds", {"audio": ["2", 0]}),
        n2=("EverTalkLoadSpeech", {"audio": "a.m4a"}),
    )
    assert told.frames == 20


@pytest.mark.usefixtures("folder")
def test_nothing_is_said_of_a_file_that_is_not_there_yet() -> None:
    told = estimate({**NATIVE, "start_image": ["1", 0]}, n1=("LoadImage", {"image": "later.png"}))
    assert (told.width, told.problem) == (None, "")


def test_sound_of_more_than_a_day_is_told(folder: Path) -> None:
    path = folder / "day.wav"
    write_sound(path, 1.0)
    head = bytearray(path.read_bytes())
    rate = head.index(b"fmt ") + 12
    head[rate : rate + 8] = (1).to_bytes(4, "little") + (2).to_bytes(4, "little")
    path.write_bytes(bytes(head) + bytes(400_000))
    size = head.index(b"data") + 4
    with path.open("r+b") as file:
        file.seek(size)
        file.write((400_000).to_bytes(4, "little"))
    told = estimate(
        {**CUSTOM, **SPEECH},
        n7=("EverTalkAudioEmbeds", {"audio": ["2", 0]}),
        n2=("LoadAudio", {"audio": "day.wav"}),
    )
    assert told.problem == "audio: day.wav is longer than 24 hours; cut it, and make a video of each part"


def test_more_windows_than_a_run_may_have_are_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from evertalk_pack.multitalk.runs import manifest

    monkeypatch.setattr(manifest, "MAX_WINDOWS", 4)
    told = estimate(
        {**CUSTOM, **SPEECH},
        n7=("EverTalkAudioEmbeds", {"audio": ["2", 0]}),
        n2=("LoadAudio", {"audio": "long.flac"}),
    )
    assert folder.is_dir()
    assert told.frames == 310
    assert told.problem.startswith("audio_embeds: 5 windows, expected 4 at most. Use longer windows")


@pytest.mark.parametrize(("scheduler", "windows"), [("flashtalk", 3), ("flashtalk_2", 3), ("multitalk", 2)])
def test_first_window_of_flashtalk_drops_frames_too(folder: Path, scheduler: str, windows: int) -> None:
    write_sound(folder / "exact.wav", 61 / 25)
    sampler = {**CUSTOM, **SPEECH, "scheduler": scheduler, "window_frames": 33, "motion_frames": 5}
    made = estimate(
        sampler,
        n7=("EverTalkAudioEmbeds", {"audio": ["2", 0]}),
        n2=("LoadAudio", {"audio": "exact.wav"}),
    )
    assert (made.frames, made.windows) == (61, windows)


def test_length_is_the_speechs_whatever_the_soundtrack_and_a_broken_one_is_told(folder: Path) -> None:
    embeds = ("EverTalkAudioEmbeds", {"audio": ["3", 0], "soundtrack": ["4", 0]})
    speech = ("LoadAudio", {"audio": "short.wav"})
    (folder / "broken.wav").write_bytes(b"no sound at all")
    heard = estimate(SPEECH | CUSTOM, n7=embeds, n3=speech, n4=("LoadAudio", {"audio": "long.flac"}))
    assert (heard.seconds, heard.frames, heard.problem) == (4.0, 100, "")
    broken = estimate(SPEECH | CUSTOM, n7=embeds, n3=speech, n4=("LoadAudio", {"audio": "broken.wav"}))
    assert broken.problem.startswith("soundtrack: broken.wav cannot be read as a sound")
