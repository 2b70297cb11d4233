"""What the VAE's stream really holds at once, tensor by tensor, against its estimate."""

import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from evertalk_pack.wanvideo.ranks import Ranks
from evertalk_pack.wanvideo.vae_memory import ChunkSize, decode_bytes, encode_bytes
from evertalk_pack.wanvideo.vae_rows import RowSplit
from evertalk_pack.wanvideo.vae_stream import VaeStreamSettings, chunk_bounds, decode_stream, encode_stream
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

pytestmark = pytest.mark.host

WIDTH, HEIGHT_PX, WIDTH_PX, FLOAT_BYTES = 16, 64, 96, 4


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all tensors that operations make, while they live."""

    def __init__(self) -> None:
        super().__init__()
        self.live: dict[int, int] = {}
        self.now = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.note(tensor.untyped_storage())
        self.peak = max(self.peak, self.now)
        return result

    def note(self, storage: torch.UntypedStorage) -> None:
        key = id(storage)  # torch keeps the object as long as the memory
        if key not in self.live:
            self.live[key] = storage.nbytes()
            self.now += storage.nbytes()
            weakref.finalize(storage, self.forget, key)

    def forget(self, key: int) -> None:
        self.now -= self.live.pop(key)


@pytest.fixture(scope="module")
def tree() -> Any:
    from comfy.ldm.wan.vae import WanVAE

    vae = WanVAE(dim=WIDTH, z_dim=16, dim_mult=[1, 2, 4, 4], temperal_downsample=[False, True, True])
    for parameter in vae.parameters():
        parameter.data.normal_(0, 0.02)
    return vae.eval().requires_grad_(requires_grad=False)


@pytest.mark.parametrize("latents_per_chunk", [1, 4])
def test_a_decode_holds_what_the_estimate_says(tree: Any, latents_per_chunk: int) -> None:
    latents = torch.randn(1, 16, 1 + 3 * latents_per_chunk, HEIGHT_PX // 8, WIDTH_PX // 8)
    with LiveBytes() as held:
        for part in decode_stream(tree, latents, VaeStreamSettings(latents_per_chunk)):
            del part
    estimate = decode_bytes(ChunkSize(WIDTH, HEIGHT_PX, WIDTH_PX, latents_per_chunk, FLOAT_BYTES))
    assert held.peak == pytest.approx(estimate, rel=0.1)


class LoneRanks(Ranks):
    """One of several ranks that do not exist: it is given nothing but zeros."""

    def passed(self, x: torch.Tensor, given: list[int], taken: list[int]) -> torch.Tensor:
        del given
        return x.new_zeros(sum(taken), *x.shape[1:])

    def gathered(self, x: torch.Tensor) -> torch.Tensor:
        return x.new_zeros(self.size, *x.shape)


@pytest.mark.parametrize("latents_per_chunk", [1, 4])
def test_a_share_of_a_decode_holds_what_the_estimate_says_of_its_rows(
    tree: Any, latents_per_chunk: int
) -> None:
    group: Any = None
    split = RowSplit(LoneRanks(1, 2, group), 2 * HEIGHT_PX // 8)
    latents = torch.randn(1, 16, 1 + 3 * latents_per_chunk, HEIGHT_PX // 8, WIDTH_PX // 8)
    with LiveBytes() as held:
        for part in decode_stream(tree, latents, VaeStreamSettings(latents_per_chunk, split=split)):
            del part
    estimate = decode_bytes(ChunkSize(WIDTH, HEIGHT_PX + 2, WIDTH_PX, latents_per_chunk, FLOAT_BYTES))
    assert held.peak == pytest.approx(estimate, rel=0.1)


@pytest.mark.parametrize("latents_per_chunk", [1, 4])
def test_an_encode_holds_what_the_estimate_says(tree: Any, latents_per_chunk: int) -> None:
    count = 1 + 3 * latents_per_chunk

    def chunks() -> Iterator[torch.Tensor]:
        for start, stop in chunk_bounds(count, latents_per_chunk):
            frames = 1 if start == 0 else 4 * (stop - start)
            yield torch.rand(1, 3, frames, HEIGHT_PX, WIDTH_PX)

    with LiveBytes() as held:
        for part in encode_stream(tree, chunks(), VaeStreamSettings(latents_per_chunk)):
            del part
    estimate = encode_bytes(ChunkSize(WIDTH, HEIGHT_PX, WIDTH_PX, latents_per_chunk, FLOAT_BYTES))
    assert held.peak == pytest.approx(estimate, rel=0.1)


@pytest.mark.parametrize(
    ("latents_per_chunk", "measured_gb"),
    [(1, 4.23), (1, 3.97), (2, 6.10), (2, 5.82), (4, 9.84), (4, 9.59)],
)
def test_the_estimates_of_a_decode_are_within_a_tenth_of_what_an_h100_took(
    latents_per_chunk: int, measured_gb: float
) -> None:
    """Of each chunk once as it is, once compiled."""
    estimate = decode_bytes(ChunkSize(96, 480, 832, latents_per_chunk, 2, side_by_side=True))
    assert estimate / 1e9 == pytest.approx(measured_gb, rel=0.1)


@pytest.mark.parametrize(("latents_per_chunk", "measured_gb"), [(1, 3.45), (2, 5.32), (4, 9.03)])
def test_the_estimates_of_an_encode_are_within_a_tenth_of_what_an_h100_took(
    latents_per_chunk: int, measured_gb: float
) -> None:
    estimate = encode_bytes(ChunkSize(96, 480, 832, latents_per_chunk, 2, side_by_side=True))
    assert estimate / 1e9 == pytest.approx(measured_gb, rel=0.1)
