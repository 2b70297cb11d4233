"""What CLIP sees of each window, with a tiny model of the host's own class."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.host

SMALL = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}


class CountingVision:
    """A tiny ClipVisionModel of the host that counts what it encodes."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.patcher = model.patcher
        self.frames: list[torch.Tensor] = []

    def encode_image(self, image: torch.Tensor, crop: bool) -> Any:
        self.frames.append(image)
        return self.model.encode_image(image, crop=crop)


@pytest.fixture
def vision(comfyui: Path, tmp_path: Path) -> CountingVision:
    from comfy.clip_vision import ClipVisionModel

    config = json.loads((comfyui / "comfy" / "clip_vision_config_h.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | SMALL))
    model = ClipVisionModel(str(tmp_path / "config.json"))
    generator = torch.Generator().manual_seed(4)
    for parameter in model.model.parameters():
        parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    return CountingVision(model)


def wide_frame(seed: int) -> torch.Tensor:
    return torch.rand((32, 64, 3), generator=torch.Generator().manual_seed(seed))


def hidden(seen: Any) -> torch.Tensor:
    return seen.penultimate_hidden_states


def test_a_frame_that_stays_is_encoded_once_and_another_anew(vision: CountingVision) -> None:
    from evertalk_pack.nodes.host.sampling.clip_vision import PerWindowClipVision

    eye, still, changed = PerWindowClipVision(vision), wide_frame(1), wide_frame(2)
    first, again, other = eye(still), eye(still), eye(changed)
    assert first is again
    assert len(vision.frames) == 2
    assert (hidden(first) - hidden(other)).abs().max() > 1e-3


def test_the_next_run_does_not_look_at_the_same_picture_again(vision: CountingVision) -> None:
    from evertalk_pack.nodes.host.report.record import recording
    from evertalk_pack.nodes.host.sampling.clip_vision import PerWindowClipVision

    first = PerWindowClipVision(vision)(wide_frame(1))
    with recording() as record:
        again = PerWindowClipVision(vision)(wide_frame(1))
    assert record.kept == ["what CLIP sees"]
    assert len(vision.frames) == 1
    assert vars(again).keys() == vars(first).keys()
    assert torch.equal(hidden(again), hidden(first))
    PerWindowClipVision(vision)(wide_frame(2))
    vision.patcher.model.requires_grad_(requires_grad=False).vision_model.embeddings.class_embedding += 1
    assert not torch.equal(hidden(PerWindowClipVision(vision)(wide_frame(1))), hidden(first))
    assert len(vision.frames) == 3


def test_few_of_the_frames_of_a_run_are_kept(vision: CountingVision) -> None:
    from evertalk_pack.nodes.host.codecs.kept import PICTURES_A_RUN
    from evertalk_pack.nodes.host.sampling.clip_vision import PerWindowClipVision

    frames = [wide_frame(seed) for seed in range(PICTURES_A_RUN + 3)]
    for _ in range(2):
        eye = PerWindowClipVision(vision)
        for frame in frames:
            eye(frame)
    assert len(vision.frames) == 2 * len(frames) - PICTURES_A_RUN


def test_the_whole_frame_is_seen_not_its_centre(vision: CountingVision) -> None:
    from evertalk_pack.nodes.host.sampling.clip_vision import PerWindowClipVision

    frame = wide_frame(1)
    side_changed = frame.clone()
    side_changed[:, :12] = 0  # a centre crop would cut the outer 16 columns off
    difference = hidden(PerWindowClipVision(vision)(frame)) - hidden(
        PerWindowClipVision(vision)(side_changed)
    )
    assert difference.abs().max() > 1e-3


def test_each_multitalk_window_shows_clip_the_last_frame_that_was_made(vision: CountingVision) -> None:
    from evertalk_pack.multitalk.windows.modes import MultiTalkMode, WindowInputs
    from evertalk_pack.nodes.host.sampling.clip_vision import PerWindowClipVision

    def encode(frames_FHWC: torch.Tensor) -> torch.Tensor:
        return torch.zeros(1, 16, (len(frames_FHWC) - 1) // 4 + 1, 4, 8)

    mode, eye, reference = MultiTalkMode(), PerWindowClipVision(vision), wide_frame(1)
    motion = torch.stack([wide_frame(seed) for seed in range(2, 7)])
    eye(mode.condition(WindowInputs(reference, None, 9), encode).clip_frame_HWC)
    eye(mode.condition(WindowInputs(reference, motion, 9), encode).clip_frame_HWC)
    assert torch.equal(vision.frames[0][0], reference)
    assert torch.equal(vision.frames[1][0], motion[-1])


def test_clip_vision_wins_over_clip_vision_output_and_says_so(
    vision: CountingVision, caplog: pytest.LogCaptureFixture
) -> None:
    from evertalk_pack.nodes.host.sampling.clip_vision import FixedClipVision, PerWindowClipVision, seeing

    with caplog.at_level("INFO", logger="evertalk"):
        assert isinstance(seeing({"clip_vision": vision, "clip_vision_output": None}), PerWindowClipVision)
    assert "clip_vision is used" in caplog.text
    given = object()
    assert seeing({"clip_vision_output": given}) == FixedClipVision(given)
    assert seeing({})(wide_frame(1)) is None


def test_one_sight_of_changing_frames_is_remarked_upon() -> None:
    from evertalk_pack.nodes.host.sampling.clip_vision import FixedClipVision, clip_vision_notes

    assert "Connect clip_vision" in clip_vision_notes(FixedClipVision(object()), frames_change=True)[0]
    assert clip_vision_notes(FixedClipVision(object()), frames_change=False) == ()
    assert clip_vision_notes(FixedClipVision(None), frames_change=True) == ()
