from pathlib import Path

import pytest
import torch
from plain_vae import PlainVae
from safetensors.torch import load_file
from talking import portrait

VAE = Path(__file__).resolve().parents[2] / "demo" / "models" / "vae.safetensors"


@pytest.fixture(scope="module")
def plain() -> PlainVae:
    vae = PlainVae().requires_grad_(requires_grad=False)
    vae.load_state_dict({name: value.float() for name, value in load_file(VAE).items()})
    return vae


@pytest.mark.host
def test_one_pass_gives_what_the_hosts_chunks_give(plain: PlainVae) -> None:
    import comfy.sd

    host = comfy.sd.VAE(sd=load_file(VAE))
    generator = torch.Generator().manual_seed(2)
    video = torch.rand(9, 32, 32, 3, generator=generator)
    latents = host.encode(video)
    assert latents is not None
    assert torch.allclose(
        plain.encode(video.movedim(-1, 1)[None] * 2 - 1).transpose(1, 2), latents, atol=1e-4
    )
    shown = plain.decode(latents.transpose(1, 2))[0].movedim(1, -1) * 0.5 + 0.5
    assert torch.allclose(shown.clamp(0, 1), host.decode(latents)[0], atol=1e-4)


def test_a_picture_of_the_world_survives_the_vae(plain: PlainVae) -> None:
    picture = portrait(123, 1).movedim(-1, 0)
    clip = picture[None, None].expand(1, 5, -1, -1, -1)
    shown = plain.decode(plain.encode(clip * 2 - 1)) * 0.5 + 0.5
    error = (shown.clamp(0, 1) - clip).square().mean()
    assert float(-10 * error.log10()) >= 30
