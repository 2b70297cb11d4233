"""Where torch keeps what it compiled."""

import os
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.host


@pytest.mark.parametrize(("has_cuda", "set_before"), [(True, None), (True, "/mine"), (False, None)])
def test_compiled_files_outlive_the_machine_s_temporary_files(
    has_cuda: bool, set_before: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import folder_paths
    from evertalk_pack.nodes.host.compat.compiled_files import PLACE, keep_compiled_files

    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_cuda)
    monkeypatch.setenv(PLACE, set_before or "")
    if set_before is None:
        monkeypatch.delenv(PLACE)
    keep_compiled_files()
    ours = str(Path(folder_paths.get_user_directory()) / "evertalk" / "compiled")
    assert os.environ.get(PLACE) == (set_before or (ours if has_cuda else None))
    monkeypatch.delenv(PLACE, raising=False)
