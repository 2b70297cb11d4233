"""The VAE in chunks of any length against the host's own loop of one latent frame at a time."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.fx
from evertalk_pack.wanvideo import vae_layers, vae_stream
from evertalk_pack.wanvideo.vae_layers import ConvKernel, convolve_side_by_side, kernel_of, residual
from evertalk_pack.wanvideo.vae_stream import (
    VaeStreamSettings,
    channels_last,
    chunk_bounds,
    decode_stream,
    encode_stream,
    even_chunk,
)
from evertalk_pack.wanvideo.vae_tree import is_streamable
from vae_row_cases import narrow_vae

pytestmark = pytest.mark.host

LATENTS, SIDE_PX = 6, 32


@pytest.fixture(scope="module")
def tree() -> Any:
    """The host's VAE, narrow, with random weights."""
    return narrow_vae()


@pytest.fixture(scope="module")
def video_BCTHW() -> torch.Tensor:  # noqa: N802  # the shape's letters
    generator = torch.Generator().manual_seed(1)
    frames_FHWC = torch.rand(4 * LATENTS - 3, SIDE_PX, SIDE_PX, 3, generator=generator) * 2 - 1
    return frames_FHWC.movedim(-1, 0)[None]


def chunks_of(video_BCTHW: torch.Tensor, latents_per_chunk: int) -> list[torch.Tensor]:
    return [
        video_BCTHW[:, :, start and 4 * start - 3 : 4 * stop - 3]
        for start, stop in chunk_bounds(LATENTS, latents_per_chunk)
    ]


@pytest.mark.parametrize("latents_per_chunk", [1, 2, 3, 4, 5, 9])
def test_any_chunk_decodes_to_what_the_host_decodes(tree: Any, latents_per_chunk: int) -> None:
    latents = torch.randn(1, 16, LATENTS, 4, 4, generator=torch.Generator().manual_seed(2))
    parts = list(decode_stream(tree, latents, VaeStreamSettings(latents_per_chunk)))
    expected = tree.decode(latents)
    assert [part.shape[2] for part in parts][:2] == [1, 4 * min(latents_per_chunk, LATENTS - 1)]
    torch.testing.assert_close(torch.cat(parts, dim=2), expected, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("latents_per_chunk", [1, 2, 3, 4, 5, 9])
def test_any_chunk_encodes_to_what_the_host_encodes(
    tree: Any, video_BCTHW: torch.Tensor, latents_per_chunk: int
) -> None:
    chunks = chunks_of(video_BCTHW, latents_per_chunk)
    parts = list(encode_stream(tree, chunks, VaeStreamSettings(latents_per_chunk)))
    torch.testing.assert_close(torch.cat(parts, dim=2), tree.encode(video_BCTHW), atol=2e-5, rtol=2e-5)


def test_every_convolution_gets_channels_last_memory(tree: Any, video_BCTHW: torch.Tensor) -> None:
    strides: list[int] = []

    def noted(convolution: Any, x: torch.Tensor) -> ConvKernel:
        strides.append(x.stride(1))
        return kernel_of(convolution, x)

    settings = VaeStreamSettings(2, noted)
    latents = torch.cat(list(encode_stream(tree, chunks_of(video_BCTHW, 2), settings)), dim=2)
    list(decode_stream(tree, latents, settings))
    assert len(strides) > 200
    assert set(strides) == {1}


def test_a_batch_is_coded_as_its_members_alone(tree: Any) -> None:
    latents = torch.randn(2, 16, 3, 2, 4, generator=torch.Generator().manual_seed(3))
    both = torch.cat(list(decode_stream(tree, latents, VaeStreamSettings(2))), dim=2)
    second = torch.cat(list(decode_stream(tree, latents[1:], VaeStreamSettings(2))), dim=2)
    torch.testing.assert_close(both[1:], second, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize(("latents", "bounds"), [(1, [(0, 1)]), (4, [(0, 1), (1, 3), (3, 4)])])
def test_the_first_latent_frame_is_a_chunk_of_its_own(latents: int, bounds: list[tuple[int, int]]) -> None:
    assert list(chunk_bounds(latents, 2)) == bounds


def test_another_video_vae_is_not_streamable(tree: Any) -> None:
    from comfy.ldm.wan.vae2_2 import WanVAE

    other: Any = WanVAE(
        dim=8,
        dec_dim=8,
        z_dim=16,
        dim_mult=[1, 2, 4, 4],
        temperal_downsample=[False, True, True],
    )
    assert is_streamable(tree)
    assert not is_streamable(other)


def test_the_residual_block_compiles_without_breaks_and_equals_eager(tree: Any) -> None:
    torch.compiler.reset()
    graphs: list[torch.fx.GraphModule] = []

    def keep_graph(graph: torch.fx.GraphModule, _inputs: list[torch.Tensor]) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(residual, dynamic=False, fullgraph=True, backend=keep_graph)
    latents = torch.randn(1, 16, 5, 4, 4, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        eager = torch.cat(list(decode_stream(tree, latents, VaeStreamSettings(2))), dim=2)
        fused = torch.cat(list(decode_stream(tree, latents, VaeStreamSettings(2, compute=compiled))), dim=2)
    # Five sizes and widths, some of them in two orders of memory: a CPU's small convolutions change it.
    assert 5 <= len(graphs) <= 8, "none for the first frame, none anew for the second chunk"
    torch.testing.assert_close(fused, eager, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("latents", "most", "size"),
    [(21, 4, 4), (21, 8, 5), (9, 8, 8), (21, 16, 10), (6, 4, 4), (2, 4, 4), (1, 2, 2)],
)
def test_chunks_on_several_gpus_come_out_even_where_they_can(latents: int, most: int, size: int) -> None:
    assert even_chunk(latents, most) == size


@pytest.mark.parametrize("rows", [1, 3])
def test_frames_side_by_side_convolve_to_the_same_as_a_video(rows: int) -> None:
    generator = torch.Generator().manual_seed(5)
    joined = channels_last(torch.randn(2, 6, 7, 8, 10, generator=generator))
    kernel = ConvKernel(torch.randn(4, 6, 3, rows, 3, generator=generator), torch.randn(4), (1, 1, 1))
    expected = torch.nn.functional.conv3d(joined, kernel.weight, kernel.bias, padding=(0, rows // 2, 1))
    found = convolve_side_by_side(joined, kernel)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert found.is_contiguous(memory_format=torch.channels_last_3d)


def test_a_decode_with_frames_side_by_side_equals_the_hosts(
    tree: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vae_layers, "convolve_joined", convolve_side_by_side)
    monkeypatch.setattr(vae_stream, "convolve_joined", convolve_side_by_side)
    latents = torch.randn(1, 16, 5, 4, 4, generator=torch.Generator().manual_seed(6))
    found = torch.cat(list(decode_stream(tree, latents, VaeStreamSettings(2))), dim=2)
    torch.testing.assert_close(found, tree.decode(latents), atol=1e-4, rtol=1e-4)
