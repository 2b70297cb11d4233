"""Forms of the video in the real server: written by the sampler, read by the decode node."""

from pathlib import Path

import pytest
from comfy_client import JobError
from comfy_server import ComfyServer
from kill_runs import tiny_run, write_speech
from media_check import measure_video

pytestmark = [pytest.mark.host, pytest.mark.timeout(600)]

SECONDS = 1.2
DECODE = "9"


@pytest.fixture(scope="module")
def server(speaking_server: ComfyServer) -> ComfyServer:
    write_speech(speaking_server, SECONDS)
    return speaking_server


def shown(server: ComfyServer, form: str, prefix: str) -> Path:
    """What the decode node shows of a run in a form, with its frames read too."""
    workflow = tiny_run(SECONDS, prefix, format=form)
    workflow["10"] = {"class_type": "PreviewImage", "inputs": {"images": [DECODE, 0]}}
    outcome = server.client.run(workflow)
    assert len(outcome.outputs["10"]["images"]) == 30
    (video,) = outcome.outputs[DECODE]["images"]
    folder = {"output": server.output, "temp": server.base / "temp"}[video["type"]]
    return folder / video["subfolder"] / video["filename"]


@pytest.mark.parametrize(
    ("form", "written"),
    [
        ("mkv lossless (ffv1)", "mkv_00001_.mkv"),
        ("exr sequence", "exr_00001_"),
        ("png sequence", "png_00001_"),
    ],
)
def test_form_is_written_read_back_and_shown_as_a_playable_copy_with_sound(
    server: ComfyServer, form: str, written: str
) -> None:
    preview = shown(server, form, written.partition("_")[0])
    result = server.output / written
    assert result.exists()
    assert preview.is_relative_to(server.base / "temp")
    video = measure_video(preview)
    assert video.num_frames == 30
    assert abs(video.sound.duration_s - SECONDS) < 0.1
    if result.is_dir():
        assert len(list(result.glob("0*"))) == 30
        assert (result / "workflow.json").stat().st_size > 1000


def test_form_that_is_unknown_is_refused(server: ComfyServer) -> None:
    with pytest.raises(JobError, match="format"):
        server.client.run(tiny_run(SECONDS, "unknown", format="gif"))
