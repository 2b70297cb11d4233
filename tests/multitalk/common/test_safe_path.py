"""A prefix stays inside the output folder, on this system and on any other."""

from pathlib import Path

import pytest
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.common.safe_path import (
    Prefix,
    as_name,
    checked_parts,
    checked_prefix,
    problem_of,
)


@pytest.mark.parametrize(
    ("prefix", "folder", "name"),
    [
        ("talk", ".", "talk"),
        ("EverTalk/talk", "EverTalk", "talk"),
        ("a//b/./c", "a/b", "c"),
        ("Ünïcode/\u8aac\u8a71 v1.2", "Ünïcode", "\u8aac\u8a71 v1.2"),
        (".hidden", ".", ".hidden"),
        ("console", ".", "console"),
        ("%year%/talk", "%year%", "talk"),
        ("EverTalk\\clips/talk", "EverTalk/clips", "talk"),
        (" a / b c \\ talk ", "a/b c", "talk"),
        ("a/  /talk", "a", "talk"),
    ],
)
def test_names_and_subfolders_are_kept(tmp_path: Path, prefix: str, folder: str, name: str) -> None:
    assert checked_prefix(prefix, tmp_path) == Prefix(tmp_path / folder, name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("prefix", "reason"),
    [
        ("", "is not a file name"),
        ("  ", "is not a file name"),
        ("folder/", "ends in a folder"),
        (".", "ends in a folder"),
        ("..", "leads out of the output folder"),
        ("../talk", "leads out of the output folder"),
        ("a/../../talk", "leads out of the output folder"),
        ("a/../talk", "leads out of the output folder"),
        ("/etc/talk", "begins at the root"),
        ("//server/share/talk", "begins at the root"),
        ("C:/talk", "has the character ':'"),
        ("C:talk", "has the character ':'"),
        ("talk:stream", "has the character ':'"),
        ("..\\talk", "leads out of the output folder"),
        ("a\\..\\..\\talk", "leads out of the output folder"),
        ("\\talk", "begins at the root"),
        (" /talk", "begins at the root"),
        ("talk\\", "ends in a folder"),
        ("talk/ ", "ends in a folder"),
        ("\\\\server\\share\\talk", "begins at the root"),
        ("\\\\?\\C:\\talk", "begins at the root"),
        ("C:\\talk", "has the character ':'"),
        ("talk\0.mp4", r"has the character '\\x00'"),
        ("talk\n", r"has the character '\\n'"),
        ("what?", r"has the character '\?'"),
        ("NUL", "name of a device"),
        ("con.txt/talk", "name of a device"),
        ("a/Com1", "name of a device"),
        ("lpt¹.x", "name of a device"),
        ("aux ", "name of a device"),
        ("talk.", "ends in a space or a full stop"),
        (".../talk", "ends in a space or a full stop"),
        ("talk\ud800", "half a character"),
        ("\u8aac" * 100, "longer than 200 bytes"),
        ("a" * 201, "201 characters, expected 200 at most"),
    ],
)
def test_what_any_system_could_misread_is_refused(tmp_path: Path, prefix: str, reason: str) -> None:
    with pytest.raises(InputError, match=f"^filename_prefix: .*{reason}"):
        checked_prefix(prefix, tmp_path)


def test_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "output"
    root.mkdir()
    (root / "way_out").symlink_to(tmp_path)
    with pytest.raises(InputError, match="leads through a link"):
        checked_prefix("way_out/talk", root)
    with pytest.raises(InputError, match="leads through a link"):
        checked_prefix("way_out/not/there/yet/talk", root)


def test_link_inside_the_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "alias").symlink_to(tmp_path / "real")
    assert checked_prefix("alias/talk", tmp_path) == Prefix(tmp_path / "real", "talk")


def test_links_that_point_at_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    try:
        found = checked_prefix("a/talk", tmp_path)
    except InputError as error:
        assert "cannot be followed" in str(error)  # noqa: PT017
    else:  # from Python 3.13 on such links are no error until they are used
        assert found.folder.is_relative_to(tmp_path)


def test_message_names_the_socket() -> None:
    with pytest.raises(InputError, match=r"^save_as: "):
        checked_parts("../x", "save_as")


@pytest.mark.parametrize(
    ("text", "name"),
    [("a/b\\c", "a_b_c"), ('<7>:"|?*', "_7______"), ("two\nlines\x7f", "two_lines_"), ("é 50%", "é 50%")],
)
def test_text_becomes_a_part_of_a_name(text: str, name: str) -> None:
    assert as_name(text) == name
    assert problem_of(name) == ""
