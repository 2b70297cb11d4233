"""The Wan 2.1 video transformer as pure functions over the modules of whoever loaded the weights."""
