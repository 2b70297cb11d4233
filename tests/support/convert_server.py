"""A server that has files under the names that workflows of WanVideoWrapper ask for, all of them tiny."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from comfy_server import ComfyServer
from wired_models import put_wired_models

ROOT = Path(__file__).resolve().parents[2]
MEDIA = ROOT / "demo" / "media"
WORKFLOWS = ROOT / "tests" / "wrapper_workflows"

TINY = {
    "diffusion_models": "evertalk_tiny_wan_i2v.safetensors",
    "model_patches": "evertalk_tiny_infinitetalk.safetensors",
    "vae": "evertalk_tiny_wan_vae.safetensors",
    "audio_encoders": "evertalk_tiny_wav2vec2.safetensors",
}
NAMES = {
    "diffusion_models": ("Wan2_1-I2V-14B-480P_fp8_e4m3fn.safetensors",),
    "model_patches": (
        "Wan2_1-InfiniTetalk-Single_fp16.safetensors",
        "Wan2_1-InfiniteTalk-Multi_fp16.safetensors",
        "Wan2_1-MultiTalk-14B_fp16.safetensors",
    ),
    "vae": ("Wan2_1_VAE_bf16.safetensors",),
    "audio_encoders": ("wav2vec2-chinese-base_fp16.safetensors",),
}
PLACEHOLDERS = {
    "loras": ("lightx2v_I2V_14B_480p_cfg_step_distill_rank64_bf16.safetensors", "film_grain.safetensors"),
    "text_encoders": ("umt5_xxl_fp16.safetensors", "umt5_xxl_fp8_e4m3fn_scaled.safetensors"),
    "clip_vision": ("clip_vision_h.safetensors",),
}
"""Files that nothing is loaded from in these tests: only their names count, and that they are no pickles."""

EMPTY_SAFETENSORS = b"\x02\x00\x00\x00\x00\x00\x00\x00{}"


@pytest.fixture(scope="session")
def stocked_server(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    base = tmp_path_factory.mktemp("stocked")
    models = base / "models"
    put_wired_models(models)
    for folder, names in NAMES.items():
        (found,) = models.rglob(TINY[folder])
        for name in names:
            (models / folder).mkdir(exist_ok=True)
            os.link(found, models / folder / name)
    for folder, names in PLACEHOLDERS.items():
        (models / folder).mkdir(exist_ok=True)
        for name in names:
            (models / folder / name).write_bytes(EMPTY_SAFETENSORS)
    with ComfyServer(comfyui, base) as server:
        for file in MEDIA.iterdir():
            if file.suffix != ".md":
                server.client.upload(file)
        yield server


@pytest.fixture(scope="session")
def object_info(stocked_server: ComfyServer) -> dict[str, Any]:
    return stocked_server.client.object_info()


def read(name: str) -> Any:
    """A workflow of WanVideoWrapper from the collection."""
    return json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))
