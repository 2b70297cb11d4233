import pytest
import torch
from evertalk_pack.attention.sdpa import attend
from evertalk_pack.multitalk.model.audio_model import AudioModel, TalkHooks
from evertalk_pack.multitalk.model.checkpoint import TalkConfig, talk_shapes
from evertalk_pack.multitalk.model.routing import SpeakerRouter

CONFIG = TalkConfig(dim=32, num_layers=2, feature_dim=6, intermediate_dim=8, context_tokens=3, output_dim=4)
HEADS, FRAMES, PLACES = 2, 2, 6


@pytest.fixture(scope="module")
def model() -> AudioModel:
    torch.manual_seed(0)
    return AudioModel(CONFIG).eval().requires_grad_(requires_grad=False)


def audio(batch: int, voices: int) -> torch.Tensor:
    return torch.randn(batch, voices, 5, 5, 2, 3, generator=torch.Generator().manual_seed(2))


def video() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    x_BLC = torch.randn(1, FRAMES * PLACES, 32, generator=generator)
    q_BLHD, k_BLHD = torch.randn(2, 1, FRAMES * PLACES, HEADS, 16, generator=generator)
    return x_BLC, q_BLHD, k_BLHD


def test_the_weights_bear_the_published_names_and_shapes(model: AudioModel) -> None:
    assert {name: tuple(value.shape) for name, value in model.state_dict().items()} == talk_shapes(CONFIG)


def test_voices_stand_side_by_side_in_each_frame(model: AudioModel) -> None:
    both = audio(2, 2)
    tokens = model.audio_tokens(both)
    assert tokens.shape == (2, FRAMES, 6, 4)
    for voice in (0, 1):
        alone = model.audio_tokens(both[:, voice : voice + 1])
        assert torch.allclose(tokens[:, :, 3 * voice : 3 * voice + 3], alone, atol=1e-6)


def test_each_block_adds_what_its_own_weights_hear(model: AudioModel) -> None:
    x_BLC, q_BLHD, k_BLHD = video()
    hooks = TalkHooks(model, model.audio_tokens(audio(1, 1)), HEADS, attend)
    added = [hooks(index).apply(x_BLC, hooks(index).observe_qk(q_BLHD, k_BLHD)) - x_BLC for index in (0, 1)]
    assert all(one.abs().max() > 1e-4 for one in added)
    assert not torch.allclose(added[0], added[1])


def test_one_voice_needs_no_routing_and_two_are_routed_by_each_block_s_attention(model: AudioModel) -> None:
    x_BLC, q_BLHD, k_BLHD = video()
    alone = TalkHooks(model, model.audio_tokens(audio(1, 1)), HEADS, attend)
    assert alone(0).observe_qk(q_BLHD, k_BLHD) is None
    masks_MP = torch.tensor([[1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1]]).float()
    tokens = model.audio_tokens(audio(1, 2))
    router = SpeakerRouter(masks_MP, tokens.shape[2], attend)
    routed = TalkHooks(model, tokens, HEADS, attend, router)
    watched = routed(0).observe_qk(q_BLHD, k_BLHD)
    other = routed(0).observe_qk(-q_BLHD, k_BLHD)
    assert watched is not None
    spoken, otherwise = (routed(0).apply(x_BLC, one) for one in (watched, other))
    assert (spoken - otherwise).abs().max() > 1e-5, "who looks where decides who is heard"


def test_a_token_that_looks_at_one_person_is_turned_toward_that_person_s_voice() -> None:
    masks_MP = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1]]).float()
    keys = torch.eye(3, 16)[None, :, None].expand(1, 3, HEADS, 16) * 8
    looks = torch.tensor([0, 1, 2, 1, 0, 2])
    queries = torch.eye(3, 16)[looks][None, :, None].expand(1, 6, HEADS, 16) * 8
    rotations = SpeakerRouter(masks_MP, 6, attend)(queries, torch.cat((keys, keys), dim=1))
    cosines = rotations.query.turn_BLHP2[0, :, 0, 0, 0]
    positions = [0, 20, 12]
    spans = [4, 4, 0]
    for token, person in enumerate(looks.tolist()):
        nearest = min(
            abs(cosines[token].item() - torch.tensor(float(place)).cos().item())
            for place in (positions[person], positions[person] + spans[person])
        )
        assert nearest < 1e-4
    heard = rotations.key.turn_BLHP2[0, :, 0, 0, 0]
    expected = torch.tensor([2.0, 2.0, 2.0, 22.0, 22.0, 22.0]).cos()
    assert torch.allclose(heard, expected, atol=1e-5)
