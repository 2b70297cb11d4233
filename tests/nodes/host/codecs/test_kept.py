"""Encodings that are kept between runs: found with the same content and encoder alone, and bit by bit."""

import gc
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
import torch
from evertalk_pack.multitalk.windows.ending import Ending
from evertalk_pack.multitalk.windows.modes import PictureClip
from tiny_host import SIDE_PX, TinyFiles, load_vae, picture
from torch import nn

if TYPE_CHECKING:
    from evertalk_pack.nodes.host.codecs.kept import Encoder, KeptEncodings

pytestmark = pytest.mark.host

FRAMES = 9
KILOBYTE = torch.zeros(256)
CLIP = PictureClip(picture()[0], FRAMES)


@pytest.fixture(autouse=True)
def _as_the_host_runs() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture
def own_vae(tiny: TinyFiles) -> Any:
    """A VAE that nobody has encoded with."""
    return load_vae(tiny)


def recalled(vae: Any, clip: PictureClip = CLIP, codec: Any = None) -> tuple[torch.Tensor, bool]:
    """A picture's latents, and whether they were kept from before."""
    from evertalk_pack.nodes.host.codecs.vae import Codec
    from evertalk_pack.nodes.host.report.record import recording

    codec = codec or Codec(vae)
    with recording() as record:
        latents = codec.recall_picture(clip, lambda: codec.encode(clip.frames_FHWC))
    return latents, record.kept == ["the run's picture"]


def test_a_picture_that_comes_again_has_the_bits_that_encoding_it_gives(own_vae: Any) -> None:
    from evertalk_pack.nodes.host.codecs.vae import Codec

    first, was_kept = recalled(own_vae)
    assert not was_kept
    expected = Codec(own_vae).encode(CLIP.frames_FHWC)
    first.zero_()  # what a run does to its own is nothing to the next
    for _ in range(2):
        again, was_kept = recalled(own_vae, PictureClip(picture()[0], FRAMES))
        assert was_kept
        assert torch.equal(again, expected)
        again.zero_()


@pytest.mark.parametrize(
    "other",
    [
        PictureClip(picture()[0].flip(0), FRAMES),
        PictureClip(picture()[0], FRAMES + 4),
        PictureClip(picture()[0], FRAMES, Ending(picture()[0], 5)),
        PictureClip(picture(SIDE_PX, 2 * SIDE_PX)[0], FRAMES),
    ],
)
def test_another_picture_length_ending_or_size_is_encoded(own_vae: Any, other: PictureClip) -> None:
    recalled(own_vae)
    assert not recalled(own_vae, other)[1]


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (torch.backends.cudnn, "allow_tf32"),
        (torch.backends.cudnn, "deterministic"),
        (torch.backends.cuda.matmul, "allow_bf16_reduced_precision_reduction"),
    ],
)
def test_switch_of_torch_that_was_turned_encodes_again(own_vae: Any, part: Any, name: str) -> None:
    recalled(own_vae)
    before = getattr(part, name)
    setattr(part, name, not before)
    try:
        assert not recalled(own_vae)[1]
        assert recalled(own_vae)[1]
    finally:
        setattr(part, name, before)


def test_other_attention_of_the_host_encodes_again(own_vae: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from comfy.ldm.modules import attention

    recalled(own_vae)
    is_split = attention.optimized_attention.__qualname__ == attention.attention_split.__qualname__
    other = attention.attention_sub_quad if is_split else attention.attention_split
    monkeypatch.setattr(attention, "optimized_attention", other)
    assert not recalled(own_vae)[1]


def edit_a_weight(vae: Any) -> None:
    vae.first_stage_model.conv1.weight.data[0] += 1


def patch_a_weight(vae: Any) -> None:
    name = "encoder.conv1.weight"
    patch = torch.ones_like(vae.patcher.model.state_dict()[name])
    assert vae.patcher.add_patches({name: ("diff", (patch,))}) == [name]


def put_another_part_in(vae: Any) -> None:
    vae.patcher.add_object_patch("encoder.head", nn.Identity())


def compute_in_another_precision(vae: Any) -> None:
    vae.vae_dtype = torch.bfloat16


@pytest.mark.parametrize(
    "change", [edit_a_weight, patch_a_weight, put_another_part_in, compute_in_another_precision]
)
def test_nothing_is_found_with_a_changed_encoder(own_vae: Any, change: Callable[[Any], None]) -> None:
    recalled(own_vae)
    assert recalled(own_vae)[1]
    change(own_vae)
    latents: list[torch.Tensor] = []

    def make() -> torch.Tensor:
        latents.append(torch.zeros(1))
        return latents[0]

    from evertalk_pack.nodes.host.codecs.vae import Codec

    assert Codec(own_vae).recall_picture(CLIP, make) is latents[0]


def test_the_same_file_loaded_again_is_another_encoder(tiny: TinyFiles, own_vae: Any) -> None:
    recalled(own_vae)
    assert not recalled(load_vae(tiny))[1]


def test_what_was_encoded_short_of_memory_is_not_kept(own_vae: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from evertalk_pack.nodes.host.codecs import vae as codecs

    encode = codecs.stream_encode

    def runs_short(vae: Any, frames_FHWC: torch.Tensor, latents_per_chunk: int) -> torch.Tensor:
        if latents_per_chunk > 1:
            message = "CUDA out of memory. Tried to allocate 2.00 GiB"
            raise torch.OutOfMemoryError(message)
        return encode(vae, frames_FHWC, latents_per_chunk)

    monkeypatch.setattr(codecs, "CPU_CHUNKS", codecs.GPU_CHUNKS)
    with monkeypatch.context() as little_memory:
        little_memory.setattr(codecs, "stream_encode", runs_short)
        assert not recalled(own_vae)[1]
    assert not recalled(own_vae)[1]
    assert recalled(own_vae)[1]


@pytest.fixture
def store() -> "KeptEncodings":
    """Room for four kilobytes."""
    from evertalk_pack.nodes.host.codecs.kept import KeptEncodings

    return KeptEncodings(4 * KILOBYTE.nbytes)


@pytest.fixture
def encoder() -> "Encoder":
    from evertalk_pack.nodes.host.codecs.kept import Encoder

    return Encoder(nn.Linear(1, 1), "")


def is_kept(store: "KeptEncodings", encoder: "Encoder", content: Any) -> bool:
    """Whether there is something, which then counts as used."""
    made: list[bool] = []
    store.recall(encoder, content, lambda: made.append(True), "", only_if=lambda: False)
    return not made


def test_what_was_unused_for_the_longest_time_goes_first(store: "KeptEncodings", encoder: "Encoder") -> None:
    for content in range(4):
        store.recall(encoder, content, KILOBYTE.clone, "")
    assert is_kept(store, encoder, 0)
    store.recall(encoder, 4, KILOBYTE.clone, "")
    assert [is_kept(store, encoder, content) for content in range(5)] == [True, False, True, True, True]
    assert store.held_bytes == store.limit_bytes


def test_what_would_take_more_than_half_is_not_kept(store: "KeptEncodings", encoder: "Encoder") -> None:
    store.recall(encoder, "small", KILOBYTE.clone, "")
    store.recall(encoder, "large", lambda: KILOBYTE.repeat(3), "")
    assert is_kept(store, encoder, "small")
    assert not is_kept(store, encoder, "large")


def test_encodings_go_with_their_encoder(store: "KeptEncodings", encoder: "Encoder") -> None:
    from evertalk_pack.nodes.host.codecs.kept import Encoder

    store.recall(encoder, 1, KILOBYTE.clone, "")
    store.recall(Encoder(nn.Linear(1, 1), ""), 1, KILOBYTE.clone, "")  # which is not held beyond this line
    gc.collect()
    assert store.held_bytes == KILOBYTE.nbytes
    assert is_kept(store, encoder, 1)


def test_content_without_a_fingerprint_is_encoded(store: "KeptEncodings", encoder: "Encoder") -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert store.recall(encoder, endless, lambda: "made", "") == "made"
    assert store.held_bytes == 0


def test_a_value_of_the_hosts_is_copied_with_all_its_tensors(
    store: "KeptEncodings", encoder: "Encoder"
) -> None:
    from comfy.clip_vision import Output

    def see() -> Any:
        seen: Any = Output()
        seen.hidden, seen.sizes, seen.projected = KILOBYTE.clone(), [torch.ones(2), (1, 2)], None
        return [[seen, {"pooled_output": torch.ones(2)}]]

    def spoil(value: Any) -> None:
        ((seen, others),) = value
        for tensor in (seen.hidden, seen.sizes[0], others["pooled_output"]):
            tensor.fill_(7)

    for _ in range(3):
        value = store.recall(encoder, 1, see, "")
        ((seen, others),) = value
        assert type(seen).__name__ == "Output"
        assert torch.equal(seen.hidden, KILOBYTE)
        assert torch.equal(seen.sizes[0], torch.ones(2))
        assert (seen.sizes[1], seen.projected) == ((1, 2), None)
        assert torch.equal(others["pooled_output"], torch.ones(2))
        spoil(value)
    assert store.held_bytes == KILOBYTE.nbytes + 2 * torch.ones(2).nbytes
