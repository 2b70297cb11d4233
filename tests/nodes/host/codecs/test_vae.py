"""The VAE through the host: equal to the host's own way, and what happens when memory runs out."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from evertalk_pack.wanvideo.vae_layers import ConvKernel
from tiny_host import SIDE_PX

pytestmark = pytest.mark.host

FRAMES = 17


@pytest.fixture
def frames_FHWC() -> torch.Tensor:  # noqa: N802  # the shape's letters
    return torch.rand(FRAMES, SIDE_PX, SIDE_PX, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is shown on the node."""
    from evertalk_pack.nodes.host.codecs import vae as codecs

    sentences: list[str] = []
    monkeypatch.setattr(codecs, "show_on_node", sentences.append)
    return sentences


@pytest.fixture
def gpu_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with the chunks of a GPU."""
    from evertalk_pack.nodes.host.codecs import vae as codecs

    monkeypatch.setattr(codecs, "CPU_CHUNKS", codecs.GPU_CHUNKS)


@pytest.fixture
def memory_for(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets convolutions run out of memory on more than so many frames at once."""
    from evertalk_pack.nodes.host.codecs import streamed_vae

    def limit(frames: int) -> None:
        kernel_of_host = streamed_vae.kernel_of_host

        def fails(convolution: Any, x: torch.Tensor) -> ConvKernel:
            if x.ndim == 5 and x.shape[2] > frames:
                message = "CUDA out of memory. Tried to allocate 2.00 GiB"
                raise torch.OutOfMemoryError(message)
            return kernel_of_host(convolution, x)

        monkeypatch.setattr(streamed_vae, "kernel_of_host", fails)

    return limit


@pytest.mark.parametrize("count", [1, 5, 9, 12, FRAMES])
def test_frames_are_coded_as_by_the_host(vae: Any, frames_FHWC: torch.Tensor, count: int) -> None:
    from evertalk_pack.nodes.host.codecs.vae import Codec

    latents = Codec(vae).encode(frames_FHWC[:count])
    torch.testing.assert_close(latents, vae.encode(frames_FHWC[:count]), atol=2e-5, rtol=2e-5)
    torch.testing.assert_close(Codec(vae).decode(latents), vae.decode(latents)[0], atol=2e-5, rtol=2e-5)


def test_a_fourth_channel_is_left_out(vae: Any, frames_FHWC: torch.Tensor) -> None:
    from evertalk_pack.nodes.host.codecs.vae import Codec

    with_alpha = torch.cat((frames_FHWC, frames_FHWC[..., :1]), dim=-1)
    assert torch.equal(Codec(vae).encode(with_alpha), Codec(vae).encode(frames_FHWC))


def test_weights_that_the_host_casts_and_patches_are_used(vae: Any, frames_FHWC: torch.Tensor) -> None:
    from evertalk_pack.nodes.host.codecs.vae import Codec

    convolution: Any = vae.first_stage_model.conv1
    before = Codec(vae).encode(frames_FHWC[:1])

    def twice(weight: torch.Tensor) -> torch.Tensor:
        return weight * 2

    convolution.weight_function = [twice]
    try:
        after = Codec(vae).encode(frames_FHWC[:1])
        expected = vae.encode(frames_FHWC[:1])
    finally:
        convolution.weight_function = []
    torch.testing.assert_close(after, expected, atol=2e-5, rtol=2e-5)
    assert not torch.allclose(after, before, atol=1e-3)


@pytest.mark.usefixtures("gpu_chunks")
def test_a_decode_that_runs_out_of_memory_goes_on_with_smaller_chunks_and_says_so(
    vae: Any, frames_FHWC: torch.Tensor, memory_for: Callable[[int], None], said: list[str]
) -> None:
    from evertalk_pack.nodes.host.codecs.vae import Codec

    codec = Codec(vae)
    latents = codec.encode(frames_FHWC)
    memory_for(4)
    frames = codec.decode(latents)
    torch.testing.assert_close(frames, vae.decode(latents)[0], atol=2e-5, rtol=2e-5)
    assert said == [
        "VAE decode: the memory does not suffice for 2 latent frames at once; going on with 1 at once"
    ]
    codec.decode(latents)
    assert len(said) == 1, "the next window begins with what fitted"


@pytest.mark.usefixtures("gpu_chunks")
@torch.inference_mode()  # as the host runs nodes; its tiles need it
def test_a_decode_with_memory_for_no_chunk_goes_on_in_tiles_and_says_so(
    vae: Any, frames_FHWC: torch.Tensor, memory_for: Callable[[int], None], said: list[str]
) -> None:
    from evertalk_pack.nodes.host.codecs.vae import Codec

    codec = Codec(vae)
    latents = codec.encode(frames_FHWC)
    memory_for(0)
    frames = codec.decode(latents)
    torch.testing.assert_close(frames, vae.decode(latents)[0], atol=2e-5, rtol=2e-5)  # one tile is all of it
    assert [sentence.split("; going on with ")[1] for sentence in said] == [
        "1 at once",
        "tiles, whose joins may show",
    ]


def test_an_encode_with_memory_for_no_chunk_goes_on_in_tiles_and_says_so(
    vae: Any, frames_FHWC: torch.Tensor, memory_for: Callable[[int], None], said: list[str]
) -> None:
    from evertalk_pack.nodes.host.codecs.vae import Codec

    memory_for(0)
    latents = Codec(vae).encode(frames_FHWC)
    torch.testing.assert_close(latents, vae.encode(frames_FHWC), atol=2e-5, rtol=2e-5)
    assert said == [
        "VAE encode: the memory does not suffice for one latent frame; going on with tiles, whose "
        "joins may show"
    ]


def test_other_errors_are_not_taken_for_lack_of_memory(
    vae: Any, frames_FHWC: torch.Tensor, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    from evertalk_pack.nodes.host.codecs import streamed_vae
    from evertalk_pack.nodes.host.codecs.vae import Codec

    def broken(_convolution: Any, _x: torch.Tensor) -> ConvKernel:
        message = "no kernel"
        raise RuntimeError(message)

    monkeypatch.setattr(streamed_vae, "kernel_of_host", broken)
    with pytest.raises(RuntimeError, match="no kernel"):
        Codec(vae).encode(frames_FHWC)
    assert not said


def test_the_room_asked_for_is_that_of_the_chunk(
    vae: Any, frames_FHWC: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evertalk_pack.nodes.host.codecs import streamed_vae
    from evertalk_pack.nodes.host.codecs.streamed_vae import stream_decode, stream_encode
    from evertalk_pack.wanvideo.vae_memory import ChunkSize, decode_bytes, encode_bytes

    asked: list[int] = []

    def load(_vae: Any, memory_bytes: int) -> None:
        asked.append(memory_bytes)

    monkeypatch.setattr(streamed_vae, "load", load)
    latents = stream_encode(vae, frames_FHWC, 2)
    stream_decode(vae, latents, 3)
    stream_decode(vae, latents[:, :, :2], 3)
    width = vae.first_stage_model.dim
    assert asked == [
        encode_bytes(ChunkSize(width, SIDE_PX, SIDE_PX, 2, 4)),
        decode_bytes(ChunkSize(width, SIDE_PX, SIDE_PX, 3, 4)),
        decode_bytes(ChunkSize(width, SIDE_PX, SIDE_PX, 1, 4)),
    ]


def test_a_compiled_decode_has_room_for_its_graphs_and_gives_the_limit_back(
    vae: Any, frames_FHWC: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch.compiler.config
    from evertalk_pack.nodes.host.codecs import streamed_vae
    from evertalk_pack.wanvideo.compiling import RECOMPILE_LIMIT
    from evertalk_pack.wanvideo.vae_layers import residual

    limits: list[int] = []

    def noted(*given: Any) -> Any:
        limits.append(torch.compiler.config.recompile_limit)
        return residual(*given)

    monkeypatch.setattr(streamed_vae, "compiled_residual", lambda: noted)
    before = torch.compiler.config.recompile_limit
    latents = streamed_vae.stream_encode(vae, frames_FHWC[:9], 2)
    frames = streamed_vae.stream_decode(vae, latents, 2, compiled=True)
    torch.testing.assert_close(frames, vae.decode(latents)[0], atol=2e-5, rtol=2e-5)
    assert set(limits) == {RECOMPILE_LIMIT}
    assert torch.compiler.config.recompile_limit == before


def test_latents_of_any_kind_are_decoded_videos_of_wan_in_chunks(
    vae: Any, frames_FHWC: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evertalk_pack.nodes.host.codecs.streamed_vae import stream_encode
    from evertalk_pack.nodes.host.codecs.vae import decode_all

    latents = stream_encode(vae, frames_FHWC[:5], 1)
    two = torch.cat((latents, 0.5 * latents))
    expected = vae.decode(two).flatten(0, 1)
    asked: list[torch.Size] = []
    host_decode = type(vae).decode

    def noted(self: Any, given: torch.Tensor) -> torch.Tensor:
        asked.append(given.shape)
        return host_decode(self, given)

    monkeypatch.setattr(type(vae), "decode", noted)
    torch.testing.assert_close(decode_all(vae, two), expected, atol=2e-5, rtol=2e-5)
    torch.testing.assert_close(decode_all(vae, latents), expected[:5], atol=2e-5, rtol=2e-5)
    assert asked == [], "the host's way holds all frames of a video at once"
