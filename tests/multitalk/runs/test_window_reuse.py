"""Which folders are looked into for windows that another run has made."""

from pathlib import Path

from evertalk_pack.multitalk.common.safe_path import Prefix
from evertalk_pack.multitalk.runs.folder import RunPlace, run_folder
from evertalk_pack.multitalk.runs.window_reuse import other_folders


def place_of(output: Path, name: str) -> RunPlace:
    prefix = Prefix(output, name)
    return RunPlace(output, prefix, prefix)


def test_only_other_runs_of_the_very_prefix_are_looked_into(tmp_path: Path) -> None:
    toy, alike = place_of(tmp_path, "toy[1]"), place_of(tmp_path, "toy[1]_rerun")
    own, other, foreign = (
        run_folder(place, mark * 64) for place, mark in ((toy, "a"), (toy, "b"), (alike, "c"))
    )
    for folder in (own, other, foreign):
        folder.mkdir()
    assert other_folders(toy, own) == [other]
    assert other_folders(alike, own) == [foreign]


def test_links_and_files_are_not_looked_into(tmp_path: Path) -> None:
    toy = place_of(tmp_path, "toy")
    own, link, file = (run_folder(toy, mark * 64) for mark in "abc")
    own.mkdir()
    link.symlink_to(own, target_is_directory=True)
    file.touch()
    assert other_folders(toy, own) == []
