"""What differs between ComfyUI releases: an adapter for each thing, chosen by what the host at hand has."""
