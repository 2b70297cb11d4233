import math

import pytest
import torch
from evertalk_pack.wanvideo.rope import angles, grid_rotation, rotate, rotation_of_angles

CPU = torch.device("cpu")
HEAD_DIM = 128


def test_angles_are_positions_over_powers_of_the_base() -> None:
    given = angles(torch.tensor([0.0, 3.0], dtype=torch.float64), 4)
    expected = [[0.0] * 4, [3.0 / 10000 ** (pair / 4) for pair in range(4)]]
    assert torch.allclose(given, torch.tensor(expected, dtype=torch.float64), rtol=1e-15)


def test_grid_angles_are_computed_in_float64() -> None:
    last = 20_000
    rotation = grid_rotation((last + 1, 1, 1), HEAD_DIM, CPU)
    pair = 1
    exact = math.cos(last / 10000 ** (pair / 22))
    in_float32 = (torch.tensor(float(last)) * torch.tensor(10000.0) ** torch.tensor(-pair / 22)).cos().item()
    assert rotation.turn_BLHP2[0, last, 0, pair, 0].item() == pytest.approx(exact, abs=1e-7)
    assert abs(in_float32 - exact) > 1e-4, "float32 would be seen"


def test_a_head_of_128_gives_22_pairs_to_time_and_21_to_rows_and_columns() -> None:
    rotation = grid_rotation((2, 3, 4), HEAD_DIM, CPU)
    assert rotation.turn_BLHP2.shape == (1, 24, 1, 64, 2)
    sin = rotation.turn_BLHP2[0, :, 0, :, 1].unflatten(0, (2, 3, 4))
    moves_with_time = (sin[1, 0, 0] != sin[0, 0, 0]).nonzero().flatten()
    moves_with_rows = (sin[0, 1, 0] != sin[0, 0, 0]).nonzero().flatten()
    moves_with_columns = (sin[0, 0, 1] != sin[0, 0, 0]).nonzero().flatten()
    assert moves_with_time.tolist() == list(range(22))
    assert moves_with_rows.tolist() == list(range(22, 43))
    assert moves_with_columns.tolist() == list(range(43, 64))


def test_interleaved_pairs_turn_by_their_angle() -> None:
    rotation = rotation_of_angles(torch.tensor([[[math.pi / 2, 0.0]]]))
    turned = rotate(torch.tensor([[[[1.0, 2.0, 3.0, 4.0]]]]), rotation)
    assert torch.allclose(turned, torch.tensor([[[[-2.0, 1.0, 3.0, 4.0]]]]), atol=1e-6)


def test_scores_depend_on_the_distance_of_two_tokens_only() -> None:
    generator = torch.Generator().manual_seed(0)
    vector = torch.randn(1, 1, 1, HEAD_DIM, generator=generator)
    turned = rotate(vector.expand(1, 9, 1, HEAD_DIM), grid_rotation((9, 1, 1), HEAD_DIM, CPU))[0, :, 0]
    assert torch.allclose(turned[1] @ turned[3], turned[5] @ turned[7], rtol=1e-4)
    assert not torch.allclose(turned[1] @ turned[3], turned[1] @ turned[4], rtol=1e-3)


def test_rotation_keeps_the_dtype_and_computes_in_float32() -> None:
    generator = torch.Generator().manual_seed(1)
    x_BLHD = torch.randn(1, 8, 2, HEAD_DIM, generator=generator).bfloat16()
    rotation = grid_rotation((2, 2, 2), HEAD_DIM, CPU)
    turned = rotate(x_BLHD, rotation)
    assert turned.dtype == torch.bfloat16
    assert torch.equal(turned, rotate(x_BLHD.float(), rotation).bfloat16())
