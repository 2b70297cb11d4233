import torch
from evertalk_pack.attention.sdpa import attend
from evertalk_pack.multitalk.model.audio_model import AudioCrossAttention, SpeakerRotations, TalkBlock
from evertalk_pack.multitalk.model.checkpoint import TalkConfig
from evertalk_pack.wanvideo.rope import angles, rotation_of_angles

CONFIG = TalkConfig(dim=16, num_layers=1, feature_dim=6, intermediate_dim=8, context_tokens=3, output_dim=4)
FRAMES, PLACES, HEADS = 3, 5, 2


def layer() -> AudioCrossAttention:
    torch.manual_seed(0)
    return AudioCrossAttention(CONFIG).eval().requires_grad_(requires_grad=False)


def inputs(batch: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x_BLC = torch.randn(batch, FRAMES * PLACES, 16, generator=generator)
    return x_BLC, torch.randn(batch, FRAMES, 3, 4, generator=generator)


def test_each_frame_hears_its_own_audio_only() -> None:
    x_BLC, audio_BTNC = inputs()
    other = audio_BTNC.clone()
    other[:, 1] += 1
    model = layer()
    moved = (model(x_BLC, other, HEADS, attend) - model(x_BLC, audio_BTNC, HEADS, attend)).abs().amax(-1)
    by_frame = moved.reshape(FRAMES, PLACES)
    assert by_frame[[0, 2]].max() == 0
    assert by_frame[1].min() > 1e-4


def test_keys_come_before_values_in_the_joined_projection() -> None:
    x_BLC, audio_BTNC = inputs()
    model = layer()
    model.kv_linear.weight[:16] = 0
    model.kv_linear.bias[:16] = 0
    spoken = model(x_BLC, audio_BTNC, HEADS, attend)
    values = model.kv_linear(audio_BTNC)[..., 16:].mean(dim=2)
    expected = model.proj(values)[0].repeat_interleave(PLACES, dim=0)
    assert torch.allclose(spoken[0], expected, atol=1e-6), "with all keys alike the values are averaged"


def test_a_batch_is_heard_as_its_rows_alone() -> None:
    x_BLC, audio_BTNC = inputs(batch=2)
    model = layer()
    alone = torch.cat(
        [model(x_BLC[row : row + 1], audio_BTNC[row : row + 1], HEADS, attend) for row in (0, 1)]
    )
    assert torch.allclose(model(x_BLC, audio_BTNC, HEADS, attend), alone, atol=1e-6)


def test_rotations_move_who_is_heard_and_a_common_turn_does_not() -> None:
    x_BLC, audio_BTNC = inputs()
    model = layer()

    def rotated(query: float, keys: list[float]) -> torch.Tensor:
        positions = torch.full((1, FRAMES * PLACES), query)
        rotations = SpeakerRotations(
            rotation_of_angles(angles(positions, 4)), rotation_of_angles(angles(torch.tensor([keys]), 4))
        )
        return model(x_BLC, audio_BTNC, HEADS, attend, rotations)

    plain = model(x_BLC, audio_BTNC, HEADS, attend)
    assert torch.allclose(rotated(7.0, [7.0, 7.0, 7.0]), plain, atol=1e-5)
    assert (rotated(2.0, [2.0, 22.0, 22.0]) - plain).abs().max() > 1e-4


def test_the_norm_of_a_block_is_affine_with_a_small_epsilon() -> None:
    norm = TalkBlock(CONFIG).norm_x
    assert norm.eps == 1e-6
    assert norm.weight.shape == norm.bias.shape == (16,)
