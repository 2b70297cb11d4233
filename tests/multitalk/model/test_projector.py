import torch
from evertalk_pack.multitalk.model.audio_model import AudioProjector, group_by_latent_frame
from evertalk_pack.multitalk.model.checkpoint import TalkConfig

CONFIG = TalkConfig(dim=16, num_layers=1, feature_dim=6, intermediate_dim=8, context_tokens=3, output_dim=4)


def numbered(frames: int) -> torch.Tensor:
    """Features that say which frame, and which place around it, they are: 10 * frame + place."""
    values = 10 * torch.arange(frames)[:, None] + torch.arange(5)
    return values.float()[None, :, :, None, None].expand(1, frames, 5, 2, 3)


def projector() -> AudioProjector:
    torch.manual_seed(0)
    return AudioProjector(CONFIG).eval().requires_grad_(requires_grad=False)


def test_the_first_frame_stands_alone_and_four_frames_give_eight_places() -> None:
    first, later = group_by_latent_frame(numbered(9))
    assert first[0, :, :, 0, 0].tolist() == [[0, 1, 2, 3, 4]]
    assert later[0, :, :, 0, 0].tolist() == [
        [10, 11, 12, 22, 32, 42, 43, 44],
        [50, 51, 52, 62, 72, 82, 83, 84],
    ]


def test_each_latent_frame_gets_its_tokens() -> None:
    assert projector()(numbered(9) / 100).shape == (1, 3, 3, 4)
    assert projector()(numbered(1) / 100).shape == (1, 1, 3, 4), "one frame has no later groups"


def test_a_change_of_one_frame_moves_its_own_latent_frame_only() -> None:
    model, audio = projector(), numbered(9) / 100
    changed = audio.clone()
    changed[:, 6] += 1
    moved = (model(changed) - model(audio)).abs().amax(dim=(0, 2, 3))
    assert moved[:2].max() == 0
    assert moved[2] > 1e-3


def test_voices_are_projected_apart() -> None:
    model = projector()
    voices = torch.cat((numbered(5), -numbered(5))) / 100
    alone = torch.cat([model(voice[None]) for voice in voices])
    assert torch.allclose(model(voices), alone, atol=1e-6)


def test_the_last_norm_is_computed_in_float32() -> None:
    model = projector()
    model.proj3.bias.copy_(torch.arange(12.0) * 1e-4)
    model.proj3.weight.zero_()
    wide = model(numbered(5) / 100)
    half = AudioProjector(CONFIG).bfloat16().eval()
    half.load_state_dict({name: value.bfloat16() for name, value in model.state_dict().items()})
    half.norm.float()
    narrow = half((numbered(5) / 100).bfloat16())
    assert narrow.dtype == torch.bfloat16
    assert torch.allclose(narrow.float(), wide, atol=0.05)
