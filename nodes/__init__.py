"""The nodes of EverTalk: the only package that imports ComfyUI."""
