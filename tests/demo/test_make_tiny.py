import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from evertalk_pack.multitalk.model.checkpoint import TalkConfig, mode_from_name
from evertalk_pack.wanvideo.checkpoint import read_header
from evertalk_pack.wanvideo.checkpoint_kind import WanDims, describe_checkpoint
from evertalk_pack.wanvideo.checkpoint_layout import CheckpointKind
from safetensors.torch import load_file

SCRIPT = Path(__file__).resolve().parents[2] / "demo" / "make_tiny.py"
FILES = {
    "diffusion_models/evertalk_tiny_wan_i2v.safetensors": CheckpointKind.WAN21_I2V,
    "model_patches/evertalk_tiny_infinitetalk.safetensors": CheckpointKind.TALK_WEIGHTS,
    "audio_encoders/evertalk_tiny_wav2vec2.safetensors": CheckpointKind.WAV2VEC2,
    "vae/evertalk_tiny_wan_vae.safetensors": CheckpointKind.WAN_VAE,
}
PROMPTS = ("evertalk_tiny_prompt.safetensors", "evertalk_tiny_negative.safetensors")


def make(models: Path, *options: str) -> str:
    command = [sys.executable, str(SCRIPT), "--models", str(models), *options]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stderr


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "models"
    assert "hand-wired tiny models" in (said := make(folder, "--wired"))
    assert "6 written, 0 already there" in said
    return folder


def test_each_file_is_what_its_folder_asks_for(models: Path) -> None:
    found = {name: describe_checkpoint(read_header(models / name)).kind for name in FILES}
    assert found == FILES
    assert sum(path.stat().st_size for path in models.rglob("*.safetensors")) < 30e6


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "models"
    assert "trained tiny models" in (said := make(folder))
    assert "6 written, 0 already there" in said
    return folder


def test_the_trained_models_come_by_default_under_the_same_names(trained: Path) -> None:
    found = {name: describe_checkpoint(read_header(trained / name)).kind for name in FILES}
    assert found == FILES


def test_the_trained_models_weigh_at_most_16_mb_in_the_repository() -> None:
    stored = list((SCRIPT.parent / "models").glob("*.safetensors"))
    assert len(stored) == 5
    assert sum(path.stat().st_size for path in stored) <= 16e6


def test_the_embedded_matrices_are_fp8_with_a_scale_each() -> None:
    for name in ("base", "talk"):
        header = read_header(SCRIPT.parent / "models" / f"{name}.safetensors")
        assert "scaled_fp8" in header.tensors
        matrices = [
            key for key, info in header.tensors.items() if key.endswith(".weight") and len(info.shape) == 2
        ]
        assert {header.tensors[key].dtype for key in matrices} == {"F8_E4M3"}
        assert all(f"{key.removesuffix('weight')}scale_weight" in header.tensors for key in matrices)


def test_the_trained_base_says_nothing_to_a_clip_picture(trained: Path) -> None:
    base = load_file(trained / "diffusion_models" / "evertalk_tiny_wan_i2v.safetensors")
    assert not base["blocks.0.cross_attn.v_img.weight"].any()
    assert not base["img_emb.proj.3.weight"].any()


@pytest.mark.host
def test_the_trained_talk_model_fits_the_trained_base(trained: Path) -> None:
    from evertalk_pack.nodes.host.model.files import base_size, check_base_file, check_talk_file

    base = check_base_file(trained / "diffusion_models" / "evertalk_tiny_wan_i2v.safetensors")
    assert base.wan == WanDims(256, 6, 512, 4096, 36, 16)
    path = trained / "model_patches" / "evertalk_tiny_infinitetalk.safetensors"
    assert check_talk_file(path, base_size(base)) == TalkConfig(256, 6, 256, 128, 8, 64)


def test_running_again_writes_only_what_differs(models: Path) -> None:
    path = models / "vae" / "evertalk_tiny_wan_vae.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    assert "1 written, 5 already there" in make(models, "--wired")
    assert path.read_bytes() == content


@pytest.mark.host
def test_the_talk_model_fits_the_base_and_loads(models: Path) -> None:
    from evertalk_pack.nodes.host.model.files import base_size, check_base_file, check_talk_file
    from evertalk_pack.nodes.host.model.loaders import load_talk

    base = check_base_file(models / "diffusion_models" / "evertalk_tiny_wan_i2v.safetensors")
    assert base.wan == WanDims(256, 2, 512, 4096, 36, 16)
    path = models / "model_patches" / "evertalk_tiny_infinitetalk.safetensors"
    config = check_talk_file(path, base_size(base))
    assert config == TalkConfig(256, 2, 256, 64, 8, 64)
    assert mode_from_name(path.name) == "infinitetalk"
    assert load_talk(path, config).model.config == config


@pytest.mark.host
@pytest.mark.parametrize("name", PROMPTS)
def test_the_prompts_load_through_the_node(models: Path, name: str) -> None:
    from evertalk_pack.nodes.host.codecs.text_embeds import load_text_embeds

    [(cross_attn, _)] = load_text_embeds(models / "evertalk_text_embeds" / name)
    assert cross_attn.shape == (1, 32, 4096)


def smooth_picture() -> torch.Tensor:
    """Smooth colours, different in each corner: (64, 64, 3)."""
    rows, columns = torch.meshgrid(torch.linspace(0, 1, 64), torch.linspace(0, 1, 64), indexing="ij")
    return torch.stack((rows, columns, 0.7 - 0.5 * rows * columns), dim=-1)


def psnr_db(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(-10 * torch.log10((a - b).square().mean()))


def load_vae(models: Path) -> Any:
    import comfy.sd

    return comfy.sd.VAE(sd=load_file(models / "vae" / "evertalk_tiny_wan_vae.safetensors"))


@pytest.mark.host
def test_the_vae_keeps_a_smooth_picture(models: Path) -> None:
    vae = load_vae(models)
    video = smooth_picture().repeat(9, 1, 1, 1)
    with torch.no_grad():
        latent = vae.encode(video)
        decoded = vae.decode(latent).reshape(-1, 64, 64, 3)
    assert latent.shape == (1, 16, 3, 8, 8)
    assert decoded.shape == (9, 64, 64, 3)
    assert psnr_db(decoded, video) > 30


@pytest.mark.host
def test_four_steps_of_the_base_show_the_picture_in_every_frame(models: Path) -> None:
    import comfy.latent_formats
    import comfy.sd

    model = comfy.sd.load_diffusion_model(
        str(models / "diffusion_models" / "evertalk_tiny_wan_i2v.safetensors")
    )
    assert type(model.model).__name__ == "WAN21"
    assert model.model.model_config.unet_config["model_type"] == "i2v"
    vae, latent_format = load_vae(models), comfy.latent_formats.Wan21()
    video = torch.full((9, 64, 64, 3), 0.5)
    video[0] = smooth_picture()
    generator = torch.Generator().manual_seed(3)
    text = torch.randn(1, 32, 4096, generator=generator)
    clip_fea = torch.randn(1, 257, 1280, generator=generator)
    with torch.no_grad():
        y = latent_format.process_in(vae.encode(video)).float()
        mask = torch.zeros_like(y)[:, :4]
        mask[:, :, 0] = 1
        x = torch.randn(y.shape, generator=generator)
        sigmas = (1.0, 0.97, 0.92, 0.79, 0.0)
        for sigma, after in pairwise(sigmas):
            model_input = torch.cat([x, mask, y], 1)
            timestep = torch.tensor([1000 * sigma])
            x += (after - sigma) * model.model.diffusion_model(model_input, timestep, text, clip_fea=clip_fea)
        shown = vae.decode(latent_format.process_out(x)).reshape(-1, 64, 64, 3)
    assert min(psnr_db(frame, video[0]) for frame in shown) > 22
