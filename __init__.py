"""EverTalk: talking videos of any length from a picture and speech, for ComfyUI."""

from .nodes.extension import comfy_entrypoint

WEB_DIRECTORY = "./web"
"""What the editor loads; the host serves it under the folder's own name, whatever that is."""

__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
