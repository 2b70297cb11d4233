"""Adapters between ComfyUI and the packages that do not know it."""
