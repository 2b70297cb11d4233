"""What ComfyUI's releases do differently: one file for each thing, chosen by what the host at hand has."""
