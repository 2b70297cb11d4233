"""Whatever a file or a prompt holds ends in a value that was checked, or in an error that a person can read.

`make test` draws a quick sample; EVERTALK_FUZZ_CASES=100000 (make soak) draws as many of each.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from evertalk_pack.multitalk.common.errors import EverTalkError, RunStoreError
from evertalk_pack.multitalk.common.safe_path import checked_prefix, problem_of
from evertalk_pack.multitalk.runs.folder import final_path
from evertalk_pack.multitalk.runs.lock import Holder, this_host
from evertalk_pack.multitalk.runs.manifest import (
    MAX_BYTES,
    MAX_WINDOWS,
    SEGMENT_SUFFIXES,
    FileRecord,
    Manifest,
    WindowRecord,
    WindowStats,
    carry_name,
    dump_manifest,
    parse_manifest,
    segment_name,
)
from evertalk_pack.multitalk.runs.overlap_file import read_overlap
from evertalk_pack.multitalk.speakers.timeline import parse_timeline
from evertalk_pack.multitalk.windows.schedule_text import parse_image_schedule, parse_schedule
from evertalk_pack.wanvideo.errors import CheckpointError
from evertalk_pack.wanvideo.safetensors_header import read_safetensors_header
from hostile_inputs import VALUES, damaged, hostile_manifests, manifests, places_in, replaced
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CASES = int(os.environ.get("EVERTALK_FUZZ_CASES", "150"))
LIMIT_MS = 10_000
"""By the clock: on a machine that twenty programs share, a case of 12 ms was seen to take 2.5 s."""

T = TypeVar("T")
Test = Callable[..., None]


def fuzzed(test: Test) -> Test:
    """Many cases, none of which may take long; nothing is written beside the repository."""
    health = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    chosen = settings(
        max_examples=CASES, deadline=LIMIT_MS, database=None, derandomize=True, suppress_health_check=health
    )
    return pytest.mark.timeout(7200)(chosen(test))


@fuzzed
@given(manifests())
def test_manifest_is_read_as_it_was_written(manifest: Manifest) -> None:
    assert parse_manifest(dump_manifest(manifest)) == manifest


@fuzzed
@given(hostile_manifests())
def test_hostile_manifest_is_refused_or_names_harmless_files_alone(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    try:
        manifest = parse_manifest(content)
    except RunStoreError:
        return
    assert len(manifest.windows) <= manifest.planned_windows <= MAX_WINDOWS
    for index, window in enumerate(manifest.windows):
        assert window.index == index
        segments = {segment_name(index, suffix) for suffix in SEGMENT_SUFFIXES}
        for file, names in ((window.segment, segments), (window.carry, {carry_name(index)})):
            assert file is None or (file.name in names and file.bytes > 0)
        assert window.frames >= 0
    if manifest.final is not None:
        assert final_path(tmp_path_factory.getbasetemp(), manifest.final) is None
    assert parse_manifest(dump_manifest(manifest)) == manifest


@pytest.mark.parametrize("name", [[], {}, None, 3])
def test_manifest_whose_segment_is_named_by_no_text_is_refused(name: object) -> None:
    digest = "0" * 32
    stats = WindowStats(1.0, None, None)
    window = WindowRecord(
        0, 1, digest, FileRecord(segment_name(0), 1, digest), carries=False, carry=None, stats=stats
    )
    content = json.loads(dump_manifest(Manifest(digest, {}, 1, (window,))))
    content["windows"][0]["segment"]["name"] = name
    with pytest.raises(RunStoreError, match=r"where only w000000\.mp4 can be"):
        parse_manifest(json.dumps(content).encode())


@pytest.mark.parametrize(
    "content",
    [
        b"[" * (MAX_BYTES - 1),
        b'{"a":' * 100_000,
        b"[" + b"[]," * 5_000_000 + b"[]]",
        b'{"format":1' + b"0" * 5000 + b"}",
        b'{"format": 1e999}',
        b'{"format": NaN}',
        b" " * (MAX_BYTES + 1),
    ],
)
def test_manifest_that_is_made_to_exhaust_is_refused_at_once(content: bytes) -> None:
    with pytest.raises(RunStoreError, match="the manifest is damaged"):
        parse_manifest(content)


PARTS = st.sampled_from(
    ["..", ".", "", " ", "a", "talk", "CON", "nul.txt", "C:", "\\", "\\\\server", "~", "$HOME", "%year%",
     "a.", "a ", "\0", "\n", "\u202e", "\ud800", "\uff0f", "\uff0e\uff0e", "link", "loop",
     "x" * 120, "COM¹", "é", "a:b", "*", "?"]
)  # fmt: skip


@fuzzed
@given(st.lists(PARTS | st.text(max_size=5), max_size=6).map("/".join) | st.text(max_size=20))
def test_prefix_stays_in_the_output_folder(tmp_path_factory: pytest.TempPathFactory, prefix: str) -> None:
    root = tmp_path_factory.getbasetemp() / "output"
    if not root.exists():
        root.mkdir()
        (root / "link").symlink_to("/")
        (root / "loop").symlink_to(root / "loop")
    try:
        found = checked_prefix(prefix, root)
    except EverTalkError as error:
        assert str(error).startswith("filename_prefix: ")  # noqa: PT017
        return
    assert found.folder.resolve().is_relative_to(root.resolve())
    assert problem_of(found.name) == ""
    assert "/" not in found.name
    assert (found.folder / found.name).parent == found.folder


MOTION = {"motion_FHWC": {"dtype": "F32", "shape": [2, 2, 2, 3], "data_offsets": [0, 96]}}


@st.composite
def hostile_tensors(draw: st.DrawFn) -> bytes:
    """Safetensors files with lies in their headers."""
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return draw(st.binary(max_size=64))
    value: Any = MOTION
    for _ in range(draw(st.integers(0, 2))):
        value = replaced(value, draw(st.sampled_from(places_in(value))), draw(VALUES))
    header = json.dumps(value).encode()
    length = draw(st.just(len(header)) | st.integers(0, 2**64 - 1)) if kind == 1 else len(header)
    whole = length.to_bytes(8, "little") + header + bytes(draw(st.sampled_from([96, 0, 95, 97])))
    return draw(damaged(whole)) if kind == 2 else whole


@fuzzed
@given(hostile_tensors())
def test_hostile_safetensors_file_is_refused_or_holds_what_is_expected(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "hostile.safetensors"
    file.write_bytes(content)
    try:
        header = read_safetensors_header(file)
    except CheckpointError:
        with pytest.raises(RunStoreError):
            read_overlap(file, 2, (2, 2))
        return
    for info in header.tensors.values():
        assert all(0 <= size < 2**63 for size in info.shape)
    try:
        motion = read_overlap(file, 2, (2, 2))
    except RunStoreError:
        return
    assert motion.motion_FHWC is not None
    assert tuple(motion.motion_FHWC.shape) == (2, 2, 2, 3)


SCRIPT = st.text("0123456789:.;-\u2013s AB+,x\n\t", max_size=40) | st.text(max_size=20)
ENTRIES = st.lists(
    st.sampled_from(
        ["0:00-0:07 A", "7s-9s B", "0-20 A+B", "12.5-13 a", "0:61-1:00 A", "1:99:00-2 B", "5s: dawn", "0s: 1",
         "9s: 2", "0s: smile; it's 5:30", "99999999999", "9" * 30 + "s: x", "3-2 A", "A", "-", ":", ""]
    )
    | SCRIPT,
    max_size=5,
).map("; ".join)  # fmt: skip


@fuzzed
@given(ENTRIES, st.floats(0.1, 1e5))
def test_timeline_is_refused_or_lies_in_the_sound(text: str, duration_s: float) -> None:
    try:
        entries = parse_timeline(text, ["A", "B"], duration_s, "timeline")
    except EverTalkError as error:
        assert str(error).startswith("timeline")  # noqa: PT017
        return
    for entry in entries:
        assert 0 <= entry.start_s < entry.end_s <= duration_s
        assert set(entry.speakers) <= {0, 1}


@fuzzed
@given(ENTRIES, st.integers(1, 5))
def test_schedule_is_refused_or_rises(text: str, num_images: int) -> None:
    try:
        starts = [entry.start_s for entry in parse_schedule(text, "prompts")]
    except EverTalkError as error:
        assert str(error).startswith("prompts")  # noqa: PT017
    else:
        assert starts == sorted(set(starts))
    try:
        images = parse_image_schedule(text, num_images, "picture_times")
    except EverTalkError as error:
        assert str(error).startswith("picture_times")  # noqa: PT017
    else:
        assert all(0 <= index < num_images for _, index in images)


@fuzzed
@given(st.binary(max_size=80) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_hostile_lock_file_names_no_holder(content: bytes) -> None:
    assert Holder.parse(content) is None


NO_PROCESS = (-1, 2**22 + 1, 2**70)
"""More than Linux numbers processes with, or none at all."""

HOLDERS = st.fixed_dictionaries(
    {
        "token": st.text(),
        "host": st.sampled_from([this_host(), "elsewhere"]),
        "pid": st.sampled_from([os.getpid(), *NO_PROCESS]) | VALUES,
        "started_s": st.floats() | VALUES,
    }
)


@fuzzed
@given(HOLDERS)
def test_holder_that_is_not_there_is_gone_and_one_of_another_machine_never(fields: dict[str, Any]) -> None:
    holder = Holder.parse(json.dumps(fields).encode())
    if holder is None:
        assert not (type(fields["pid"]) is int and type(fields["started_s"]) in (int, float))
    elif holder.host != this_host() or holder.pid in (os.getpid(), *NO_PROCESS):
        assert holder.is_gone is (holder.host == this_host())


def test_files_of_other_kinds_are_no_manifests(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "manifest.json")
    from evertalk_pack.multitalk.runs.folder import stored_manifest

    manifest, note = stored_manifest(tmp_path)
    assert manifest is None
    assert "a link or a special file" in note
