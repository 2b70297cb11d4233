"""Test-only node pack: sampler results out of thin air, a VAE that can refuse to load, and EverTalkDecode."""

# pyright: reportIncompatibleMethodOverride=false
# io.ComfyNode.execute(**kwargs) is narrowed by every node; nodes/ has the same exception in pyproject.toml.

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from typing import Any

import torch
from comfy_api.latest import ComfyExtension, io

ROOT = Path(__file__).resolve().parents[3]
_spec = importlib.machinery.ModuleSpec("evertalk_pack", None, is_package=True)
_spec.submodule_search_locations = [str(ROOT)]
sys.modules[_spec.name] = importlib.util.module_from_spec(_spec)

from evertalk_pack.nodes.decode import EverTalkDecode  # noqa: E402


class DoublingVAE:
    """Decodes latents into grey frames: four for each latent frame but the first, eight pixels for one."""

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        batch, _, frames, height, width = latents.shape
        return torch.full((batch, frames * 4 - 3, height * 8, width * 8, 3), 0.5)


class SourceSavedVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema("SourceSavedVideo", inputs=[io.String.Input("path")], outputs=[io.Latent.Output()])

    @classmethod
    def execute(cls, path: str) -> io.NodeOutput:
        return io.NodeOutput({"video": {"path": path, "frames": 6}, "output_path": path})


class SourceLatents(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema("SourceLatents", inputs=[io.Int.Input("video_frames")], outputs=[io.Latent.Output()])

    @classmethod
    def execute(cls, video_frames: int) -> io.NodeOutput:
        audio = {"waveform": torch.zeros(1, 1, 640 * video_frames), "sample_rate": 16000}
        latents = torch.zeros(1, 16, 3, 2, 4)
        return io.NodeOutput(
            {"samples": latents, "has_ref": False, "video_frames": video_frames, "audio": audio}
        )


class SourceVAE(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema("SourceVAE", inputs=[io.Boolean.Input("loads")], outputs=[io.Vae.Output()])

    @classmethod
    def execute(cls, loads: bool) -> io.NodeOutput:
        if not loads:
            raise RuntimeError("the VAE file was loaded")
        return io.NodeOutput(DoublingVAE())


class ShapeOfImages(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema("ShapeOfImages", inputs=[io.Image.Input("images")], outputs=[], is_output_node=True)

    @classmethod
    def execute(cls, images: Any) -> io.NodeOutput:
        return io.NodeOutput(ui={"shape": list(images.shape)})


class DecodeSources(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [EverTalkDecode, SourceSavedVideo, SourceLatents, SourceVAE, ShapeOfImages]


async def comfy_entrypoint() -> DecodeSources:
    return DecodeSources()
