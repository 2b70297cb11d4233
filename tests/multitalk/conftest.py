"""Property tests draw the same examples every time, and have no deadline that a busy machine could miss."""

from hypothesis import settings

settings.register_profile("evertalk", deadline=None, derandomize=True)
settings.load_profile("evertalk")
