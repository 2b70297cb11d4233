import argparse
import json
import os
import signal
import subprocess
import sys
import time
import wave
from pathlib import Path

import pytest
from comfy_client import JobError, JsonObject, Outcome
from comfy_server import ComfyServer
from media_check import Sound, Video, check_video, measure_sound, measure_video
from PIL import Image
from run import (
    CARTOON,
    CLIP,
    MEDIA,
    PORTRAIT,
    TWO,
    WORKFLOWS,
    DemoError,
    Show,
    main,
    nodes_of,
    parse_size,
    put_inputs,
    read_arguments,
    read_workflow,
    run_job,
    summary,
    video_file,
    whole_sound,
)

DEMO = Path(__file__).resolve().parents[2] / "demo"


def workflow() -> JsonObject:
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
        "2": {"class_type": "LoadAudio", "inputs": {"audio": "example.wav"}},
        "3": {"class_type": "EverTalkSampler", "inputs": {"width": 64, "height": 32, "seed": 1}},
    }


def test_uploaded_names_and_size_reach_the_nodes() -> None:
    filled = workflow()
    put_inputs(filled, "face.jpg", ["voice.flac"], (832, 480))
    assert [node["inputs"] for node in filled.values()] == [
        {"image": "face.jpg"},
        {"audio": "voice.flac"},
        {"width": 832, "height": 480, "seed": 1},
    ]


def test_clip_goes_where_a_workflow_loads_a_video() -> None:
    filled = workflow() | {"1": {"class_type": "LoadVideo", "inputs": {"file": "example.mp4"}}}
    put_inputs(filled, "talk.mp4", ["voice.flac"], None)
    assert filled["1"]["inputs"] == {"file": "talk.mp4"}


def test_size_of_the_workflow_is_kept_unless_one_is_given() -> None:
    filled = workflow()
    put_inputs(filled, "face.jpg", ["voice.flac"], None)
    assert filled["3"] == workflow()["3"]


def test_workflow_without_a_place_for_the_picture_is_refused() -> None:
    with pytest.raises(DemoError, match=r"no LoadImage node to take face\.jpg"):
        put_inputs({"2": workflow()["2"]}, "face.jpg", ["voice.flac"], None)


def test_sounds_are_given_to_the_nodes_in_their_order() -> None:
    filled = workflow()
    filled["4"] = {"class_type": "LoadAudio", "inputs": {"audio": "example.wav"}}
    put_inputs(filled, "face.jpg", ["left.flac", "right.flac"], None)
    assert [filled[node]["inputs"]["audio"] for node in ("2", "4")] == ["left.flac", "right.flac"]


def test_more_sounds_than_places_are_refused() -> None:
    with pytest.raises(DemoError, match=r"1 LoadAudio nodes, but 2 sounds were given: a\.wav, b\.wav"):
        put_inputs(workflow(), "face.jpg", ["a.wav", "b.wav"], None)


def test_the_trained_cartoon_plays_unless_another_show_or_a_picture_is_chosen() -> None:
    assert read_arguments([]).show is CARTOON
    assert read_arguments(["--two"]).show is TWO
    assert read_arguments(["--clip"]).show is CLIP
    assert read_arguments(["--image", "face.jpg"]).show is PORTRAIT
    for show in (CARTOON, TWO, CLIP, PORTRAIT):
        files = [MEDIA / show.picture, *(MEDIA / voice for voice in show.voices)]
        assert all(file.is_file() for file in files), show
        places = nodes_of(read_workflow(WORKFLOWS / f"{show.workflow}.api.json"), "LoadAudio")
        assert len(places) == len(show.voices)


def test_voices_that_follow_each_other_sound_as_long_as_all_of_them() -> None:
    voices = [MEDIA / voice for voice in TWO.voices]
    each = [measure_sound(voice).duration_s for voice in voices]
    assert whole_sound(voices).duration_s == pytest.approx(sum(each), abs=1e-4)


def test_size_without_a_node_to_take_it_is_refused() -> None:
    filled = workflow()
    del filled["3"]
    with pytest.raises(DemoError, match="no node of the workflow has a width"):
        put_inputs(filled, "face.jpg", ["voice.flac"], (64, 64))


def test_size_is_read_from_words() -> None:
    assert parse_size("832X480") == (832, 480)
    with pytest.raises(argparse.ArgumentTypeError, match="'832' is no size"):
        parse_size("832")


def test_workflow_in_the_interfaces_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"nodes": [], "links": []}))
    with pytest.raises(DemoError, match="export it with File > Export"):
        read_workflow(tmp_path / "a.json")
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(DemoError, match=r"b\.json is no JSON"):
        read_workflow(tmp_path / "b.json")


def test_reported_video_is_preferred_to_the_newest_file(tmp_path: Path) -> None:
    server = ComfyServer(tmp_path, tmp_path)
    server.output.mkdir()
    (server.output / "newest.mp4").touch()
    entry = {"filename": "a.mp4", "subfolder": "talk", "type": "output"}
    reported = Outcome("id", {"9": {"images": [entry], "animated": [True]}}, ())
    assert video_file(reported, server, time.time() - 60) == server.output / "talk" / "a.mp4"
    assert video_file(Outcome("id", {}, ()), server, time.time() - 60) == server.output / "newest.mp4"


def test_video_of_an_earlier_run_is_not_taken_for_a_result(tmp_path: Path) -> None:
    server = ComfyServer(tmp_path, tmp_path)
    server.output.mkdir()
    (server.output / "old.mp4").touch()
    os.utime(server.output / "old.mp4", (0, 0))
    with pytest.raises(DemoError, match="no new mp4"):
        video_file(Outcome("id", {}, ()), server, time.time())


def test_summary_is_one_line() -> None:
    video = Video(218, 256, 128, Sound(139_285, 16_000))
    assert summary(video, 3, 41.6) == "218 frames, 8.72 s, 256x128, 3 windows, 42 s of computing"
    assert summary(video, None, 41.6) == "218 frames, 8.72 s, 256x128, 42 s of computing"


def write_media(folder: Path, speech_s: float) -> tuple[Path, Path]:
    Image.new("RGB", (32, 32), (200, 120, 90)).save(folder / "face.png")
    with wave.open(str(folder / "voice.wav"), "wb") as speech:
        speech.setparams((1, 2, 16_000, 0, "NONE", ""))
        speech.writeframes(bytes(2 * round(16_000 * speech_s)))
    return folder / "face.png", folder / "voice.wav"


@pytest.mark.host
def test_job_in_the_real_server_gives_a_video_as_long_as_the_speech(
    comfy_server: ComfyServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, audio = write_media(tmp_path, speech_s=0.96)
    repeated = {"class_type": "RepeatImageBatch", "inputs": {"image": ["1", 0], "amount": 24}}
    made = {"class_type": "CreateVideo", "inputs": {"images": ["3", 0], "audio": ["2", 0], "fps": 25.0}}
    saved = {"video": ["4", 0], "filename_prefix": "job", "format": "mp4", "codec": "h264"}
    job = workflow() | {"3": repeated, "4": made, "5": {"class_type": "SaveVideo", "inputs": saved}}
    put_inputs(job, comfy_server.client.upload(image), [comfy_server.client.upload(audio)], None)
    outcome, _ = run_job(comfy_server.client, job)
    video = measure_video(video_file(outcome, comfy_server, time.time()))
    check_video(video, measure_sound(audio))
    assert (video.num_frames, video.width_px) == (24, 32)
    assert "  CreateVideo\n  SaveVideo\n" in capsys.readouterr().out


def test_missing_file_ends_the_demo_with_its_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    try:
        assert main(["--image", str(tmp_path / "nobody.png")]) == 1
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert "nobody.png is not there" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "show"), [("--two", TWO), ("--portrait", PORTRAIT)])
def test_node_that_fails_ends_the_demo_with_the_place_of_its_trace(
    option: str, show: Show, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(chosen: argparse.Namespace) -> None:
        raise JobError(f"a node of {chosen.workflow.name} failed", trace="where")

    monkeypatch.setattr("run.make_video", fail)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        assert main([option]) == 1
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert f"the whole trace is in {show.base / 'server.log'}\n" in capsys.readouterr().err


def test_help_explains_every_option() -> None:
    done = subprocess.run(
        [sys.executable, str(DEMO / "run.py"), "--help"], capture_output=True, text=True, check=True
    )
    for option in (
        "--two",
        "--clip",
        "--portrait",
        "--image",
        "--audio",
        "--workflow",
        "--size",
        "--output-dir",
        "--keep-server",
        "--comfyui",
    ):
        assert option in done.stdout


@pytest.mark.host
def test_make_demo_makes_a_video_as_long_as_the_speech(tmp_path: Path) -> None:
    command = ["make", "demo", f"ARGS=--output-dir {tmp_path}", f"PYTHON={sys.executable}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        command, cwd=DEMO.parent, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = [line.removeprefix("demo: ") for line in done.stdout.splitlines() if line.endswith(".mp4")]
    check_video(measure_video(Path(path)), measure_sound(MEDIA / "speech.flac"))
