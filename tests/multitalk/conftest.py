"""Property tests draw the same examples every time, and have no deadline that a busy machine could miss."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from small_disk import small_disk_at

settings.register_profile("evertalk", deadline=None, derandomize=True)
settings.load_profile("evertalk")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 600 kB."""
    with small_disk_at(tmp_path / "small", "600k") as folder:
        yield folder
