"""What is declared to the host's memory manager, beside what the forward takes."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from evertalk_pack.multitalk.model.checkpoint import TalkConfig
from evertalk_pack.multitalk.windows.loop import WindowVoices
from evertalk_pack.wanvideo.memory import (
    EXCHANGE_BYTES,
    FLOAT32_BYTES,
    LATENT_COPIES,
    WORKSPACE_BYTES,
    forward_bytes,
)
from evertalk_pack.wanvideo.ranks import Ranks
from live_memory import LiveMemory
from tiny_host import TinyFiles, play_windows, speech

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

pytestmark = pytest.mark.host

META = torch.device("meta")


def real_size_model(dtype: torch.dtype) -> "ModelPatcher":
    """Two blocks of the real width without memory, and audio weights on them."""
    import comfy.ops
    from comfy.model_base import WAN21
    from comfy.model_patcher import ModelPatcher
    from comfy.supported_models import WAN21_I2V
    from evertalk_pack.multitalk.common.layers import Layers
    from evertalk_pack.multitalk.model.audio_model import AudioModel
    from evertalk_pack.nodes.host.model.patcher import AudioAttachment, apply_talk

    size = {"dim": 5120, "ffn_dim": 13824, "num_heads": 40, "num_layers": 2, "in_dim": 36, "out_dim": 16}
    kind = {"image_model": "wan2.1", "model_type": "i2v", "text_dim": 4096}
    settings = WAN21_I2V({**size, **kind})
    settings.set_inference_dtype(dtype, torch.bfloat16 if dtype.itemsize == 1 else None)
    base = WAN21(settings, image_to_video=True, device=META)
    base.requires_grad_(requires_grad=False)
    config = TalkConfig(5120, 2, 9216, 512, 32, 768)
    talk = AudioModel(config, Layers(comfy.ops.manual_cast, torch.bfloat16, META))
    talk.requires_grad_(requires_grad=False)
    attachment = AudioAttachment("none", "infinitetalk", "sdpa", ModelPatcher(talk, META, META))
    return apply_talk(ModelPatcher(base, META, META), attachment)


def kernel(q_BQHD: torch.Tensor, k_BKHD: torch.Tensor, v_BKHD: torch.Tensor) -> torch.Tensor:
    """Fused attention takes no more than its result."""
    del k_BKHD, v_BKHD
    return torch.empty_like(q_BQHD)


def window(width: int, height: int, frames: int, voices: int) -> tuple[torch.Tensor, WindowVoices]:
    latents = torch.empty(1, 16, (frames - 1) // 4 + 1, height // 8, width // 8, device=META)
    masks = None if voices == 1 else torch.empty(voices + 1, (height // 16) * (width // 16), device=META)
    return latents, WindowVoices(torch.empty(voices, frames, 5, 12, 768, device=META), masks)


class OneOf(Ranks):
    """One rank of several whose others are not there: it gets back what it gives."""

    def swapped(self, parts_P: torch.Tensor) -> torch.Tensor:
        return torch.empty_like(parts_P)

    def gathered(self, x: torch.Tensor) -> torch.Tensor:
        return x.new_empty(self.size, *x.shape)


def evaluate(
    model: "ModelPatcher",
    latents: torch.Tensor,
    voices: WindowVoices,
    step_cache: Any = None,
    ranks: Ranks | None = None,
) -> None:
    from evertalk_pack.nodes.host.model.patcher import KEY, TalkCall, talks_of

    call = TalkCall((voices,), kernel, talks_of(model), step_cache, ranks=ranks)
    model.model.apply_model(
        latents,
        torch.empty(1, device=META),
        c_concat=torch.empty(1, 20, *latents.shape[2:], device=META),
        c_crossattn=torch.empty(1, 512, 4096, device=META),
        clip_fea=torch.empty(1, 257, 1280, device=META),
        transformer_options={"cond_or_uncond": [0], "uuids": [0], KEY: call, "wrappers": model.wrappers},
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn, torch.float32], ids=str)
@pytest.mark.parametrize(
    ("width", "height", "frames", "voices"),
    [(832, 480, 81, 1), (832, 480, 81, 2), (1280, 720, 81, 1), (640, 640, 41, 3), (448, 448, 33, 1)],
)
def test_the_declared_memory_is_within_a_tenth_of_what_a_block_takes(
    dtype: torch.dtype, width: int, height: int, frames: int, voices: int
) -> None:
    from evertalk_pack.nodes.host.model.memory import forward_size

    model = real_size_model(dtype)
    latents, heard = window(width, height, frames, voices)
    with torch.inference_mode(), LiveMemory() as memory:
        evaluate(model, latents, heard)
    declared = forward_bytes(forward_size(model, latents, heard, kernel, 0)) - WORKSPACE_BYTES
    assert memory.peak <= declared <= 1.1 * memory.peak


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn], ids=str)
@pytest.mark.parametrize(("size", "voices"), [(2, 1), (2, 2), (5, 2), (8, 1)])
def test_the_declared_memory_of_a_rank_is_within_a_tenth_of_what_its_block_takes(
    dtype: torch.dtype, size: int, voices: int
) -> None:
    from evertalk_pack.nodes.host.model.memory import forward_size

    model = real_size_model(dtype)
    latents, heard = window(832, 480, 81, voices)
    group: Any = None
    with torch.inference_mode(), LiveMemory() as memory:
        evaluate(model, latents, heard, ranks=OneOf(size - 1, size, group))
    whole = forward_size(model, latents, heard, kernel, 0)
    declared = forward_bytes(replace(whole, ranks=size)) - WORKSPACE_BYTES - EXCHANGE_BYTES
    of_the_sampler = LATENT_COPIES * FLOAT32_BYTES * latents.numel()  # not split, so more of a small share
    assert memory.peak <= declared <= 1.1 * memory.peak + of_the_sampler


def test_a_step_cache_s_copies_are_declared() -> None:
    from evertalk_pack.nodes.host.model.memory import forward_size
    from evertalk_pack.wanvideo.step_cache import StepCache, StepCacheSettings

    model = real_size_model(torch.bfloat16)
    latents, heard = window(832, 480, 81, 1)
    cache = StepCache(StepCacheSettings(0.2, (1.0,), first_steps=5), 5)
    with torch.inference_mode(), LiveMemory() as memory:
        for step in range(2):
            cache.step = step
            evaluate(model, latents, heard, cache)
    declared = forward_bytes(forward_size(model, latents, heard, kernel, 1)) - WORKSPACE_BYTES
    assert memory.peak <= declared <= 1.1 * memory.peak


def test_the_host_is_told_while_it_samples_and_asks_itself_again_afterwards(
    talking: "ModelPatcher", tiny: TinyFiles, vae: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import comfy.model_management

    asked: list[tuple[float, float]] = []
    load = comfy.model_management.load_models_gpu

    def noting(models: Any, *args: Any, **kwargs: Any) -> Any:
        if talking.get_nested_additional_models()[0] in models:
            asked.append((kwargs["memory_required"], kwargs["minimum_memory_required"]))
        return load(models, *args, **kwargs)

    monkeypatch.setattr(comfy.model_management, "load_models_gpu", noting)
    host_answer = talking.model.memory_required([1, 16, 3, 4, 4])
    play_windows(talking, vae, speech(tiny, 9))
    (needed,) = asked
    assert needed[0] == needed[1]
    assert WORKSPACE_BYTES < needed[0] < 1.1 * WORKSPACE_BYTES, "tiny windows take little"
    assert "memory_required" not in vars(talking.model)
    assert talking.model.memory_required([1, 16, 3, 4, 4]) == host_answer


def test_the_reserve_comes_on_top(talking: "ModelPatcher") -> None:
    from evertalk_pack.nodes.host.model.memory import declared_memory, forward_size

    latents = torch.zeros(1, 16, 3, 4, 4)
    size = forward_size(talking, latents, WindowVoices(torch.zeros(1, 9, 5, 12, 8)), None, 0)
    with declared_memory(talking, size, 0.0):
        plain = talking.model.memory_required([1, 16, 3, 4, 4], cond_shapes={})
    with declared_memory(talking, size, 1.5):
        assert talking.model.memory_required([2, 16, 3, 4, 4]) - plain == 1.5 * 1024**3
    assert plain == forward_bytes(size)


def test_room_for_weights_on_their_way_is_asked_for_where_not_all_of_them_fit(
    talking: "ModelPatcher", monkeypatch: pytest.MonkeyPatch
) -> None:
    import comfy.model_management as host
    from evertalk_pack.nodes.host.model.memory import (
        LEFT_BETWEEN_BYTES,
        ON_THE_WAY_BYTES,
        declared_memory,
        forward_size,
        weights_bytes,
    )

    latents = torch.zeros(1, 16, 3, 4, 4)
    size = forward_size(talking, latents, WindowVoices(torch.zeros(1, 9, 5, 12, 8)), None, 0)
    free = weights_bytes(talking) + forward_bytes(size) + LEFT_BETWEEN_BYTES + host.extra_reserved_memory()
    emptied: list[float] = []
    for one in (talking, *talking.get_nested_additional_models()):
        monkeypatch.setattr(one, "load_device", META)
    monkeypatch.setattr(host, "current_loaded_models", [])

    def asked(free_bytes: float) -> int:
        def free_memory(_device: torch.device) -> float:
            return free_bytes

        monkeypatch.setattr(host, "get_free_memory", free_memory)
        monkeypatch.setattr(host, "soft_empty_cache", lambda: emptied.append(free_bytes))
        with declared_memory(talking, size, 0.0):
            return talking.model.memory_required([1, 16, 3, 4, 4])

    assert asked(free) == forward_bytes(size)
    assert emptied == []
    assert asked(free - 1) == forward_bytes(size) + ON_THE_WAY_BYTES
    assert emptied == [free - 1]
