from pathlib import Path

import pytest
import torch
from evertalk_pack.multitalk.model.speaker_map import key_positions, query_positions, speaker_map
from evertalk_pack.wanvideo.rope import Rotation, grid_rotation, rotate
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.nn.functional import layer_norm, linear, rms_norm, scaled_dot_product_attention

PUBLIC = Path(__file__).resolve().parents[2] / "goldens" / "public"


def sdpa(q_BQHD: torch.Tensor, k_BKHD: torch.Tensor, v_BKHD: torch.Tensor) -> torch.Tensor:
    q, k, v = (tensor.transpose(1, 2) for tensor in (q_BQHD, k_BKHD, v_BKHD))
    return scaled_dot_product_attention(q, k, v).transpose(1, 2)


def naive_map(q_BLHD: torch.Tensor, k_BKHD: torch.Tensor, masks_MK: torch.Tensor) -> torch.Tensor:
    """The definition, with the softmax written out in float64."""
    scores = torch.einsum("blhd,bkhd->bhlk", q_BLHD.double(), k_BKHD.double()) / q_BLHD.shape[-1] ** 0.5
    share = torch.einsum("bhlk,mk->bmlh", scores.softmax(dim=-1), masks_MK.double())
    return share.mean(dim=-1) / masks_MK.double().sum(dim=1)[:, None]


def random_case(
    seed: int = 0, batch: int = 2, heads: int = 4, head_dim: int = 16, masks: int = 3
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    q_BLHD = torch.randn(batch, 30, heads, head_dim, generator=generator)
    k_BKHD = torch.randn(batch, 10, heads, head_dim, generator=generator)
    owner_K = torch.arange(10) % masks
    return q_BLHD, k_BKHD, (owner_K == torch.arange(masks)[:, None]).float()


@pytest.mark.parametrize("heads", [1, 3, 4])
@pytest.mark.parametrize("masks", [2, 3, 5])
def test_the_map_equals_the_softmax_written_out(heads: int, masks: int) -> None:
    case = random_case(heads=heads, masks=masks)
    map_BML = speaker_map(*case, sdpa)
    assert map_BML.shape == (2, masks, 30)
    torch.testing.assert_close(map_BML.double(), naive_map(*case), atol=1e-6, rtol=1e-5)


def test_the_map_of_half_precision_queries_is_float32_and_near() -> None:
    q_BLHD, k_BKHD, masks_MK = random_case()
    map_BML = speaker_map(q_BLHD.bfloat16(), k_BKHD.bfloat16(), masks_MK, sdpa)
    assert map_BML.dtype == torch.float32
    torch.testing.assert_close(map_BML, naive_map(q_BLHD, k_BKHD, masks_MK).float(), atol=2e-3, rtol=2e-2)


def test_the_attention_is_asked_for_values_of_the_usual_shape() -> None:
    seen: list[torch.Tensor] = []

    def recording(q_BQHD: torch.Tensor, k_BKHD: torch.Tensor, v_BKHD: torch.Tensor) -> torch.Tensor:
        seen.extend([k_BKHD, v_BKHD])
        return sdpa(q_BQHD, k_BKHD, v_BKHD)

    speaker_map(*random_case(), recording)
    keys, values = seen
    assert values.shape == keys.shape
    assert values.dtype == keys.dtype
    assert values.is_contiguous()


def test_masks_that_cover_all_keys_evenly_share_the_attention() -> None:
    q_BLHD, k_BKHD, _ = random_case()
    map_BML = speaker_map(q_BLHD, k_BKHD, torch.ones(1, 10), sdpa)
    torch.testing.assert_close(map_BML, torch.full((2, 1, 30), 0.1))


def test_a_mask_without_tokens_is_looked_at_by_nobody() -> None:
    q_BLHD, k_BKHD, masks_MK = random_case()
    masks_MK[2] = 0
    map_BML = speaker_map(q_BLHD, k_BKHD, masks_MK, sdpa)
    assert not map_BML[:, 2].any()
    assert (query_positions(map_BML) != 12).all()


def test_masks_that_do_not_fit_are_a_mistake_of_the_caller() -> None:
    q_BLHD, k_BKHD, _ = random_case(head_dim=4)
    with pytest.raises(AssertionError, match="5 masks do not fit into values of 4"):
        speaker_map(q_BLHD, k_BKHD, torch.ones(5, 10), sdpa)
    with pytest.raises(AssertionError, match="masks of 9 tokens for 10 keys"):
        speaker_map(q_BLHD, k_BKHD, torch.ones(3, 9), sdpa)


def test_query_positions_of_the_golden_map_are_the_golden_positions() -> None:
    golden = load_file(PUBLIC / "model_dual" / "io.safetensors")
    positions_BL = query_positions(golden["out_x_ref_attn_map_block0"][None])
    torch.testing.assert_close(positions_BL[0], golden["out_q_pos_block0"], atol=1e-5, rtol=0)


def test_key_positions_of_two_speakers_are_the_golden_ones() -> None:
    golden = load_file(PUBLIC / "model_dual" / "io.safetensors")["out_k_pos_block0"]
    assert torch.equal(key_positions(2, 4).repeat(3), golden)  # 3 latent frames


def test_further_speakers_go_on_in_the_same_steps() -> None:
    assert key_positions(4, 1).tolist() == [2, 22, 42, 62]
    map_BML = torch.zeros(1, 5, 8)
    for speaker in range(4):
        map_BML[0, speaker, 2 * speaker : 2 * speaker + 2] = torch.tensor([0.5, 1.0])
    expected = torch.tensor([[2.0, 4, 22, 24, 42, 44, 62, 64]])
    torch.testing.assert_close(query_positions(map_BML), expected, atol=1e-5, rtol=0)


def test_background_tokens_sit_between_the_two() -> None:
    map_BML = torch.tensor([[[0.1, 0.9], [0.2, 0.1], [0.3, 0.0]]])
    assert query_positions(map_BML)[0, 0] == 12


@given(seed=st.integers(0, 500), gain=st.sampled_from([0.125, 2.0, 16.0]))
def test_positions_lie_in_their_ranges_and_do_not_depend_on_the_maps_scale(seed: int, gain: float) -> None:
    map_BML = torch.rand(2, 3, 20, generator=torch.Generator().manual_seed(seed))
    positions_BL = query_positions(map_BML)
    inside = (positions_BL >= 0) & (positions_BL <= 4) | (positions_BL >= 20) & (positions_BL <= 24)
    assert (inside | (positions_BL == 12)).all()
    torch.testing.assert_close(query_positions(map_BML * gain), positions_BL, atol=1e-4, rtol=0)


def test_a_map_without_any_range_gives_finite_positions() -> None:
    assert query_positions(torch.full((1, 3, 7), 0.1)).tolist() == [[0.0] * 7]


def test_each_item_of_a_batch_is_scaled_by_its_own_range() -> None:
    map_BML = torch.rand(2, 3, 20, generator=torch.Generator().manual_seed(0))
    both = query_positions(map_BML)
    assert torch.equal(both, torch.cat([query_positions(map_BML[:1]), query_positions(map_BML[1:])]))


def turned(x_BLHD: torch.Tensor, positions_BL: torch.Tensor) -> torch.Tensor:
    pairs = x_BLHD.shape[-1] // 2
    angles_BLHP = positions_BL[:, :, None, None] * 10000.0 ** -(torch.arange(pairs) / pairs)
    return rotate(x_BLHD, Rotation(torch.stack((angles_BLHP.cos(), angles_BLHP.sin()), dim=-1)))


def golden_block0() -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Tensors of the two-speaker case, and block 0's weights."""
    weights: dict[str, torch.Tensor] = {}
    for file in sorted((PUBLIC / "shared_dit").glob("*.safetensors")):
        weights |= load_file(file)
    block = {
        name.removeprefix("blocks.0."): w.float() for name, w in weights.items() if name[:9] == "blocks.0."
    }
    return load_file(PUBLIC / "model_dual" / "io.safetensors"), block


def test_the_map_of_block_0_equals_the_golden() -> None:
    golden, block = golden_block0()
    shift, scale = (block["modulation"] + golden["out_e0"])[:, :2].split(1, dim=1)
    x_BLC = layer_norm(golden["out_tokens_in"], (256,), eps=1e-6) * (1 + scale) + shift
    rotation = grid_rotation((3, 3, 4), 128, torch.device("cpu"))

    def project(name: str) -> torch.Tensor:
        y_BLC = linear(x_BLC, block[f"self_attn.{name}.weight"], block[f"self_attn.{name}.bias"])
        y_BLC = rms_norm(y_BLC, (256,), block[f"self_attn.norm_{name}.weight"], eps=1e-6)
        return rotate(y_BLC.unflatten(-1, (2, 128)), rotation)

    map_BML = speaker_map(project("q"), project("k")[:, :12], golden["out_token_ref_target_masks"], sdpa)
    torch.testing.assert_close(map_BML[0], golden["out_x_ref_attn_map_block0"], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(query_positions(map_BML)[0], golden["out_q_pos_block0"], atol=1e-4, rtol=0)


def test_routed_audio_attention_equals_the_golden_of_block_0() -> None:
    golden, block = golden_block0()
    gate = (block["modulation"] + golden["out_e0"])[:, 2:3]
    x_BLC = golden["out_tokens_in"] + gate * golden["out_self_attn_block0"] + golden["out_cross_attn_block0"]
    x_BLC = layer_norm(x_BLC, x_BLC.shape[-1:], block["norm_x.weight"], block["norm_x.bias"], eps=1e-6)
    audio_FAC = golden["out_audio_embedding"][0]
    frames, tokens, heads = audio_FAC.shape[0], audio_FAC.shape[1], 2

    def project(x: torch.Tensor, name: str) -> torch.Tensor:
        return linear(x, block[f"audio_cross_attn.{name}.weight"], block[f"audio_cross_attn.{name}.bias"])

    q = project(x_BLC, "q_linear").unflatten(-1, (heads, -1))
    k, v = (half.unflatten(-1, (heads, -1)) for half in project(audio_FAC, "kv_linear").chunk(2, dim=-1))
    positions_BL = query_positions(golden["out_x_ref_attn_map_block0"][None])
    q = turned(q, positions_BL).reshape(frames, -1, *q.shape[2:])
    k = turned(k, key_positions(2, tokens // 2)[None])
    out = project(sdpa(q, k, v).reshape(x_BLC.shape), "proj")
    torch.testing.assert_close(out, golden["out_audio_cross_attn_block0"], atol=1e-4, rtol=1e-4)
