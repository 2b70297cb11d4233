"""EverTalk: talking videos of any length from a picture and speech, for ComfyUI."""

from .nodes.extension import comfy_entrypoint

__all__ = ["comfy_entrypoint"]
