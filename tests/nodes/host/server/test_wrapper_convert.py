"""What the converter's route asks the pack of a name."""

from pathlib import Path

import pytest
from evertalk_pack.multitalk.common.errors import RunStoreError

pytestmark = pytest.mark.host

TOO_LONG = "x" * 300
"""A name that no file system takes, so that a folder below it answers with an error."""


def test_output_folder_that_does_not_answer_is_no_fault_of_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import folder_paths
    from evertalk_pack.nodes.host.run.video_file import check_prefix
    from evertalk_pack.nodes.host.server.wrapper_convert import name_rule

    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path / TOO_LONG))
    with pytest.raises(RunStoreError):
        check_prefix("sub/talk")
    assert name_rule("sub/talk") == ""
    assert "filename_prefix" in name_rule("../talk")
