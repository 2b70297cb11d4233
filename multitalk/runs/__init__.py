"""Finished windows on the disk, and how a run continues from them."""
