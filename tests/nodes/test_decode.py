"""EverTalkDecode called as the host calls it, in the host's own process."""

import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from evertalk_pack.multitalk.common.errors import ResultError
from evertalk_pack.multitalk.common.types import Waveform
from evertalk_pack.multitalk.media.video_reader import probe_video, read_frames
from evertalk_pack.multitalk.media.video_writer import VideoWriter

pytestmark = pytest.mark.host

HEIGHT, WIDTH = 16, 32


class RefusingVAE:
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        raise AssertionError(f"decode was called with {tuple(latents.shape)}")


class RampVAE:
    """Grey frames whose value is the latent's, four for each latent frame but the first."""

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        if latents.ndim == 4:
            return latents[:, :1, :1, :1].expand(-1, HEIGHT, WIDTH, 3)
        values_BT = latents[:, 0, :, 0, 0].repeat_interleave(4, dim=1)[:, 3:]
        return values_BT[..., None, None, None].expand(-1, -1, HEIGHT, WIDTH, 3)


@pytest.fixture(autouse=True)
def host_folders(tmp_path: Path) -> Iterator[None]:
    import folder_paths

    before = folder_paths.get_output_directory(), folder_paths.get_temp_directory()
    for name in ("output", "temp"):
        (tmp_path / name).mkdir()
    folder_paths.set_output_directory(str(tmp_path / "output"))
    folder_paths.set_temp_directory(str(tmp_path / "temp"))
    yield
    folder_paths.set_output_directory(before[0])
    folder_paths.set_temp_directory(before[1])


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    (tmp_path / "output" / "video").mkdir()
    path = tmp_path / "output" / "video" / "talk.mp4"
    with VideoWriter(path, WIDTH, HEIGHT, Waveform(torch.zeros(1, 3840), 16000)) as writer:
        writer.write(torch.full((6, HEIGHT, WIDTH, 3), 0.5))
    return path


def decode(samples: object, vae: object = None, *, images_taken: bool = True, chart: bool = False) -> Any:
    from comfy_api.latest import io
    from comfy_execution.graph import DynamicPrompt
    from evertalk_pack.nodes.decode import EverTalkDecode

    consumer = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0 if images_taken else 1]}}
    prompt = DynamicPrompt({"1": {"class_type": "EverTalkDecode", "inputs": {}}, "2": consumer})

    class Called(EverTalkDecode):  # of its own, as the host makes one for each call
        hidden = io.HiddenHolder.from_dict({io.Hidden.unique_id: "1", io.Hidden.dynprompt: prompt})

    return Called.execute(samples=samples, vae=vae, chart=chart)


def saved_result(path: Path) -> dict[str, object]:
    video = {"path": str(path), "frames": 6, "fps": 25.0, "width": WIDTH, "height": HEIGHT, "seconds": 0.24}
    return {"video": video, "output_path": str(path)}


@pytest.mark.parametrize("vae", [None, RefusingVAE()])
def test_saved_video_is_passed_on_without_the_vae(
    saved: Path, caplog: pytest.LogCaptureFixture, vae: object
) -> None:
    with caplog.at_level(logging.INFO, "evertalk"):
        output = decode(saved_result(saved), vae)
    images, video, output_path = output.result
    torch.testing.assert_close(images, torch.full((6, HEIGHT, WIDTH, 3), 0.5), atol=0.01, rtol=0)
    assert (video.get_stream_source(), output_path) == (str(saved), str(saved))
    assert output.ui.as_dict()["images"] == [{"filename": "talk.mp4", "subfolder": "video", "type": "output"}]
    assert caplog.messages[:4] == [
        "Processing sampler output...",
        "Sampler output type: dict, keys: output_path (str), video (dict)",
        "Sampler returned decoded video, using directly",
        f"Video already saved to: {saved}",
    ]


def test_saved_video_is_not_read_unless_images_are_taken(
    saved: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "evertalk"):
        images, video, output_path = decode(saved_result(saved), images_taken=False).result
    assert images is None
    assert (video.get_stream_source(), output_path) == (str(saved), str(saved))
    assert "in memory" not in caplog.text


FIGURES = [
    {"index": 0, "start_s": 0.0, "drift": 0.2, "seam": None, "seconds": 1.0},
    {"index": 1, "start_s": 2.88, "drift": 0.5, "seam": 1.1, "seconds": 1.0},
]


def test_chart_is_written_beside_the_video_when_asked_for(
    saved: Path, caplog: pytest.LogCaptureFixture
) -> None:
    samples = {**saved_result(saved), "windows": FIGURES}
    decode(samples, images_taken=False)
    assert list(saved.parent.iterdir()) == [saved]
    with caplog.at_level(logging.INFO, "evertalk"):
        decode(samples, images_taken=False, chart=True)
    path = saved.with_name("talk_chart.svg")
    assert f"chart: {path}" in caplog.messages
    assert "<title>Window 2, from 2.9 s: 1.1</title>" in path.read_text()


@pytest.mark.parametrize(
    "windows",
    [None, "all", [], [1], [{"start_s": "0", "drift": 1.0}], [{"start_s": 0.0, "drift": float("nan")}]],
    ids=repr,
)
def test_result_without_figures_gets_a_warning_in_place_of_a_chart(
    saved: Path, caplog: pytest.LogCaptureFixture, windows: object
) -> None:
    with caplog.at_level(logging.INFO, "evertalk"):
        decode({**saved_result(saved), "windows": windows}, images_taken=False, chart=True)
    assert "chart: no chart is written, because samples does not tell the figures" in caplog.text
    assert list(saved.parent.iterdir()) == [saved]


def test_no_chart_is_written_outside_of_the_output_folder(
    saved: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = saved.rename(tmp_path / "elsewhere.mp4")
    with caplog.at_level(logging.INFO, "evertalk"):
        decode({**saved_result(elsewhere), "windows": FIGURES}, images_taken=False, chart=True)
    assert "elsewhere_chart.svg is outside of ComfyUI's output folder" in caplog.text
    assert not list(tmp_path.glob("*.svg"))


def test_chart_that_cannot_be_written_leaves_the_video_as_it_is(
    saved: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saved.with_name("talk_chart.svg").mkdir()
    with caplog.at_level(logging.INFO, "evertalk"):
        output = decode({**saved_result(saved), "windows": FIGURES}, images_taken=False, chart=True)
    assert output.result[2] == str(saved)
    assert "talk_chart.svg cannot be written" in caplog.text
    assert "the video is whole" in caplog.text


def test_chart_that_could_not_be_written_is_when_the_workflow_comes_again(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evertalk_pack.nodes import decode as node

    def in_a_prompt(slot: int) -> bool:
        return slot == 0

    monkeypatch.setattr(node, "taken_fingerprint", in_a_prompt)  # it knows of a prompt that runs alone

    def fingerprints() -> list[float]:
        return [node.EverTalkDecode.fingerprint_inputs(chart=chart) for chart in (True, False)]

    samples, path = {**saved_result(saved), "windows": FIGURES}, saved.with_name("talk_chart.svg")
    with_chart, without = fingerprints()
    path.mkdir()
    decode(samples, images_taken=False, chart=True)
    again, still = fingerprints()
    assert again != with_chart
    assert still == without
    path.rmdir()
    decode(samples, images_taken=False, chart=True)
    assert path.is_file()
    assert fingerprints() == [again, without]


def test_chart_of_a_folder_of_pictures_has_its_whole_name(saved: Path) -> None:
    from PIL import Image

    folder = saved.with_name("talk v1.5_00001_")
    folder.mkdir()
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "frame_00000.png")
    samples = {"video": {"path": str(folder)}, "output_path": str(folder), "windows": FIGURES}
    decode(samples, images_taken=False, chart=True)
    assert saved.with_name("talk v1.5_00001__chart.svg").is_file()


def test_core_save_video_writes_the_video_output(saved: Path, tmp_path: Path) -> None:
    _, video, _ = decode(saved_result(saved), images_taken=False).result
    video.save_to(str(tmp_path / "copy.mp4"))
    assert torch.equal(read_frames(tmp_path / "copy.mp4"), read_frames(saved))


def test_path_alone_is_the_saved_video(saved: Path) -> None:
    for samples in ({"video": str(saved)}, {"video": None, "output_path": str(saved)}):
        assert decode(samples, images_taken=False).result[2] == str(saved)


def test_file_outside_the_served_folders_has_no_preview(saved: Path, tmp_path: Path) -> None:
    elsewhere = saved.rename(tmp_path / "elsewhere.mp4")
    output = decode({"video": str(elsewhere)}, images_taken=False)
    assert output.ui == {}
    assert output.result[2] == str(elsewhere)


@pytest.mark.parametrize("vae", [None, RefusingVAE()])
def test_wan_video_wrappers_float_video_is_used_directly(
    vae: object, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    frames = torch.tensor([-1.0, 0.0, 1.0])[:, None, None, None].expand(3, HEIGHT, WIDTH, 3)
    with caplog.at_level(logging.INFO, "evertalk"):
        output = decode({"video": frames, "output_path": ""}, vae)
    images, video, output_path = output.result
    assert images[:, 0, 0, 0].tolist() == [0.0, 0.5, 1.0]
    assert torch.equal(video.get_components().images, images)
    assert (video.get_components().frame_rate, output_path) == (Fraction(25), "")
    assert "Sampler returned decoded video, using directly" in caplog.messages
    assert not any("already saved" in message for message in caplog.messages)
    preview = output.ui.as_dict()["images"][0]
    assert probe_video(tmp_path / "temp" / preview["filename"]).frames == 3


def test_frames_in_memory_replace_a_lost_file_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gone = str(tmp_path / "output" / "gone.mp4")
    images, _, output_path = decode({"video": torch.zeros(2, HEIGHT, WIDTH, 3), "output_path": gone}).result
    assert (images.shape[0], output_path) == (2, "")
    assert f"{gone} is gone" in caplog.text


def test_wan_video_wrappers_folder_of_pictures_becomes_a_video(tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "output" / "frames"
    folder.mkdir()
    for number, grey in enumerate((0, 128, 255)):
        Image.new("RGB", (WIDTH, HEIGHT), (grey, grey, grey)).save(folder / f"frame_{number:05d}.png")
    images, video, output_path = decode(
        {"video": torch.zeros(1, 64, 64, 3), "output_path": str(folder)}
    ).result
    assert [round(float(value) * 255) for value in images[:, 0, 0, 0]] == [0, 128, 255]
    assert (video.get_frame_count(), video.get_dimensions(), output_path) == (3, (WIDTH, HEIGHT), str(folder))


def test_a_video_value_of_the_host_is_passed_on(saved: Path) -> None:
    from comfy_api.latest import InputImpl, Types

    from_file = InputImpl.VideoFromFile(str(saved))
    images, video, output_path = decode({"video": from_file}).result
    assert (images.shape[0], video, output_path) == (6, from_file, str(saved))
    components = Types.VideoComponents(images=torch.zeros(4, HEIGHT, WIDTH, 3), frame_rate=Fraction(25))
    from_frames = InputImpl.VideoFromComponents(components)
    output = decode({"video": from_frames}, images_taken=False)
    assert output.result[1:] == (from_frames, "")
    assert output.ui.as_dict()["images"][0]["type"] == "temp"


def test_something_that_only_looks_like_a_video_value_is_refused() -> None:
    class Lookalike:
        def get_components(self) -> None:
            raise AssertionError("not to be opened")

    with pytest.raises(ResultError, match="Unexpected structure: 'video' is a Lookalike"):
        decode({"video": Lookalike()})


def test_latents_are_decoded_and_trimmed_with_their_sound(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    latents = torch.tensor([0.2, 0.4, 0.6])[None, None, :, None, None].expand(1, 16, 3, 2, 4)
    audio = {"waveform": torch.zeros(1, 2, 4480), "sample_rate": 16000}
    samples = {"samples": latents, "has_ref": False, "video_frames": 7, "audio": audio}
    with caplog.at_level(logging.INFO, "evertalk"):
        output = decode(samples, RampVAE())
    images, video, output_path = output.result
    torch.testing.assert_close(images[:, 0, 0, 0], torch.tensor([0.2] + [0.4] * 4 + [0.6] * 2))
    components = video.get_components()
    assert (components.frame_rate, output_path) == (Fraction(25), "")
    assert components.audio["waveform"].shape == (1, 2, 4480)
    assert "Sampler returned latents, the VAE decodes latents of shape (1, 16, 3, 2, 4)" in caplog.messages
    preview = output.ui.as_dict()["images"][0]
    assert probe_video(tmp_path / "temp" / preview["filename"]).frames == 7


def test_reference_frame_is_dropped_before_decoding() -> None:
    latents = torch.tensor([0.9, 0.2, 0.4])[None, None, :, None, None].expand(1, 16, 3, 2, 4)
    images = decode({"samples": latents, "has_ref": True}, RampVAE()).result[0]
    torch.testing.assert_close(images[:, 0, 0, 0], torch.tensor([0.2] + [0.4] * 4))


def test_batches_follow_one_another_and_image_latents_are_decoded() -> None:
    two_videos = torch.tensor([0.1, 0.7])[:, None, None, None, None].expand(2, 16, 2, 2, 4)
    images = decode({"samples": two_videos}, RampVAE()).result[0]
    torch.testing.assert_close(images[:, 0, 0, 0], torch.tensor([0.1] * 5 + [0.7] * 5))
    two_images = torch.tensor([0.1, 0.7])[:, None, None, None].expand(2, 4, 2, 4)
    images = decode({"samples": two_images}, RampVAE()).result[0]
    torch.testing.assert_close(images[:, 0, 0, 0], torch.tensor([0.1, 0.7]))


def test_latents_take_the_place_of_a_lost_file_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gone = str(tmp_path / "output" / "gone.mp4")
    samples = {"video": {"path": gone}, "output_path": gone, "samples": torch.zeros(1, 16, 3, 2, 4)}
    assert decode(samples, RampVAE()).result[0].shape[0] == 9
    assert f"{gone} is gone; its latents are decoded instead" in caplog.text


class VideoVAE(RefusingVAE):
    """As the host describes Wan 2.1's."""

    latent_channels = 16
    latent_dim = 3


@pytest.mark.parametrize("shape", [(1, 4, 3, 2, 4), (1, 48, 3, 2, 4), (1, 16, 2, 4), (16, 3, 2, 4)])
def test_latents_of_another_model_are_refused_before_the_vae_loads(shape: tuple[int, ...]) -> None:
    with pytest.raises(ResultError, match=r"^vae: it decodes latents .*of 16 channels.*connect the VAE that"):
        decode({"samples": torch.zeros(shape)}, VideoVAE())


def test_latents_that_hold_nan_are_refused_before_the_vae_loads() -> None:
    latents = torch.zeros(1, 16, 3, 2, 4)
    latents[0, 3, 1] = torch.nan
    with pytest.raises(ResultError, match=r"^samples: the latents hold NaN.*run the sampler again"):
        decode({"samples": latents}, VideoVAE())


def test_doubts_about_frames_in_memory_are_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "evertalk"):
        decode({"video": torch.rand(2, HEIGHT, WIDTH, 3)})
    assert "are taken as -1 (black) to 1 (white)" in caplog.text


def test_latents_without_a_vae_ask_for_one() -> None:
    with pytest.raises(ResultError, match=r"^vae: nothing is connected.*\(1, 16, 3, 2, 4\); connect a VAE"):
        decode({"samples": torch.zeros(1, 16, 3, 2, 4)})


@pytest.mark.parametrize("samples", [{}, {"frames": 1, "info": "x"}, [1], None, "path.mp4", torch.zeros(1)])
def test_unknown_form_is_refused_after_it_was_logged(
    samples: object, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "evertalk"), pytest.raises(ResultError, match="Unexpected structure"):
        decode(samples, RefusingVAE())
    assert caplog.messages[0] == "Processing sampler output..."
    assert caplog.messages[1].startswith(f"Sampler output type: {type(samples).__name__}")


def test_odd_frames_in_memory_are_kept_and_previewed() -> None:
    output = decode({"video": torch.zeros(2, 15, 33, 3)})
    assert output.result[0].shape == (2, 15, 33, 3)
    assert output.ui.as_dict()["images"][0]["type"] == "temp"


def test_vae_is_asked_for_only_when_it_is_connected_and_needed(saved: Path) -> None:
    from evertalk_pack.nodes.decode import EverTalkDecode

    latents = {"samples": torch.zeros(1, 16, 3, 2, 4)}
    assert EverTalkDecode.check_lazy_status(samples=latents, vae=None) == ["vae"]
    assert EverTalkDecode.check_lazy_status(samples=latents, vae=RampVAE()) == []
    assert EverTalkDecode.check_lazy_status(samples=latents) == []
    assert EverTalkDecode.check_lazy_status(samples=saved_result(saved), vae=None) == []
    assert EverTalkDecode.check_lazy_status(samples={}, vae=None) == []


def test_every_input_and_output_has_a_tooltip() -> None:
    from evertalk_pack.nodes.decode import EverTalkDecode

    schema = EverTalkDecode.define_schema()
    assert all(socket.tooltip for socket in [*schema.inputs, *schema.outputs])
    assert [output.io_type for output in schema.outputs] == ["IMAGE", "VIDEO", "STRING"]
