"""Models of the host: files, loaders, LoRA, patches, attention, memory."""
