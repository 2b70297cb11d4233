"""Who speaks when, and where in the picture."""
