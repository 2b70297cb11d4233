"""What a test cannot run without: absent on a person's machine it is a skip, in CI a failure."""

import os
from typing import NoReturn

import pytest


def refuse(reason: str) -> NoReturn:
    """Skip the test; where the variable CI is set, fail it, since nobody would see that it was skipped."""
    if os.environ.get("CI"):
        pytest.fail(f"CI is set, and {reason}", pytrace=False)
    pytest.skip(reason)
