"""The list of a run's finished windows, as JSON that is validated before it is used.

A manifest names whole files alone; of a long run it names the first windows, and those behind them have
records beside it, see window_records.py. What is read from a disk may be torn, foreign or made to do harm:
it is read with a limit on its size and its brackets, every field is checked, and file names are not taken
from it but compared with the only ones they may be.
"""

import json
import math
import re
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn, cast

from ...wanvideo.plain_file import open_plain, read_plain
from ..common.errors import EverTalkError, InputError, RunStoreError
from ..common.safe_path import checked_parts

FORMAT = 1
"""Of the run folder; a higher one in a file is a later EverTalk's."""

NAME = "manifest.json"

MAX_WINDOWS = 50_000
"""40 hours with windows of 81 frames; keeps what a hostile folder can make us read, hold and compare bounded:
a manifest of so many windows has 17 MB and is read in a second."""

MAX_BYTES = 24_000_000
HEAD_BYTES = 1_000_000
"""What comes before a manifest's windows is shorter: MAX_SETTINGS of MAX_TEXT."""

_WINDOWS_BEGIN = b',"windows":['
MAX_BRACKETS = 8 * MAX_WINDOWS
MAX_TEXT = 4_000
MAX_SETTINGS = 200
MAX_NUMBER = 2**53
DIGEST = re.compile(r"[0-9a-f]{32}")

SEGMENT_SUFFIXES = (".mp4", ".mkv", ".zip")
FINAL_ENDINGS = (".mp4", ".mkv", "_")
"""Of a finished video: a file, or a folder with a number."""

Fields = Mapping[str, object]


def check_window_count(windows: int) -> None:
    """Refuse a run of more windows than MAX_WINDOWS.

    Raises:
        InputError: names both numbers.
    """
    if windows > MAX_WINDOWS:
        raise InputError(
            f"audio_embeds: {windows} windows, expected {MAX_WINDOWS} at most. Use longer windows, or cut "
            "the sound"
        )


class DamagedManifestError(RunStoreError):
    """A manifest that is torn or was never one."""


class NewerFormatError(RunStoreError):
    """A manifest of a later EverTalk."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A whole file.

    Attributes:
        name: in the run's folder; of the finished video, names and slashes from the output folder on.
        bytes: its size.
        digest: fingerprint of its bytes, see fingerprint_file.
    """

    name: str
    bytes: int
    digest: str


@dataclass(frozen=True, slots=True)
class WindowStats:
    """Figures of a window; see windows/report.py.

    Attributes:
        seconds: what it took.
        drift: colour drift, or None where it was not measured.
        seam: figure of its join with the window before, or None.
        finite: whether all of its frames are numbers; a window of which it was not said is made again.
    """

    seconds: float
    drift: float | None = None
    seam: float | None = None
    finite: bool = True


@dataclass(frozen=True, slots=True)
class WindowRecord:
    """A finished window.

    Attributes:
        index: 0 for the first.
        frames: video frames in its segment.
        key: stands for all that it was made of, see fingerprint.chained.
        segment: its part of the video; None if all of its frames wait to be blended with the next window's.
        carries: whether the next window needs something of it.
        carry: the file of that; None once later windows have made it useless.
        stats: its figures.
    """

    index: int
    frames: int
    key: str
    segment: FileRecord | None
    carries: bool
    carry: FileRecord | None
    stats: WindowStats


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a run's folder holds.

    Attributes:
        fingerprint: of everything that shapes the run's result.
        settings: the run as people read it, text by text.
        planned_windows: windows of the whole run.
        windows: the finished ones, from the first on.
        final: the finished video, once it exists.
    """

    fingerprint: str
    settings: Mapping[str, str]
    planned_windows: int
    windows: tuple[WindowRecord, ...] = ()
    final: FileRecord | None = None
    format: int = field(default=FORMAT)


def segment_name(index: int, suffix: str = ".mp4") -> str:
    """File name of a window's segment."""
    return f"w{index:06}{suffix}"


def carry_name(index: int) -> str:
    """Name of the file with the frames that a window gives to the next."""
    return f"c{index:06}.safetensors"


def dump_manifest(manifest: Manifest) -> bytes:
    """The JSON of a manifest; settings that are too long to be read back are cut."""
    settings = {name: text[: MAX_TEXT - len(name)] for name, text in manifest.settings.items()}
    manifest = replace(manifest, settings=settings)
    return json.dumps(asdict(manifest), separators=(",", ":"), allow_nan=False).encode()


def dump_window(window: WindowRecord) -> bytes:
    """The JSON of one window, see parse_window."""
    return json.dumps(asdict(window), separators=(",", ":"), allow_nan=False).encode()


def read_settings(path: Path) -> Mapping[str, str]:
    """The settings of a manifest, without its windows: of one that is too long to be read by the way.

    Raises:
        DamagedManifestError, OSError: see read_manifest.
    """
    with open_plain(path, follow=False) as file:
        head, found, _ = file.read(HEAD_BYTES).partition(_WINDOWS_BEGIN)
    if not found:
        _damaged("its windows do not begin where they should")
    return _settings(_fields(_parsed(head + b"}"), "the manifest").get("settings"))


def read_manifest(path: Path) -> Manifest:
    """The manifest in a file.

    Raises:
        DamagedManifestError: it is not a manifest, whatever it is instead.
        NewerFormatError: a later EverTalk wrote it.
        OSError: there is none, or it cannot be read.
    """
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        _damaged("it is a link or a special file")
    if status.st_size > MAX_BYTES:
        _damaged(f"it has {status.st_size} bytes, more than {MAX_BYTES}")
    return parse_manifest(read_plain(path, MAX_BYTES, follow=False))


def parse_manifest(text: bytes) -> Manifest:
    """The manifest in JSON; see read_manifest."""
    fields = _fields(_parsed(text), "the manifest")
    version = _number(fields, "format", 1)
    if version > FORMAT:
        raise NewerFormatError(
            f"the run folder has format {version}, made by a later EverTalk; this one reads formats up to "
            f"{FORMAT}. Update EverTalk, or choose another filename_prefix"
        )
    planned = _number(fields, "planned_windows", 1, MAX_WINDOWS)
    windows = fields.get("windows")
    if not isinstance(windows, list) or len(cast("list[object]", windows)) > planned:
        _damaged("its windows are not a list, or more than were planned")
    final = fields.get("final")
    return Manifest(
        fingerprint=_digest(fields, "fingerprint"),
        settings=_settings(fields.get("settings")),
        planned_windows=planned,
        windows=tuple(_window(entry, index) for index, entry in enumerate(cast("list[object]", windows))),
        final=None if final is None else _file(final, _final_name(final)),
    )


def parse_window(text: bytes, index: int) -> WindowRecord:
    """The window of this index in JSON. Raises DamagedManifestError."""
    return _window(_parsed(text), index)


def _parsed(text: bytes) -> object:
    if len(text) > MAX_BYTES:
        _damaged(f"it has more than {MAX_BYTES} bytes")
    if text.count(b"[") + text.count(b"{") > MAX_BRACKETS:
        _damaged("it has more lists than a manifest can hold")
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise DamagedManifestError("the manifest is damaged: it is not JSON") from error


def _window(entry: object, index: int) -> WindowRecord:
    fields = _fields(entry, f"window {index}")
    if _number(fields, "index", 0) != index:
        _damaged(f"window {index} is not in its place")
    stats = _fields(fields.get("stats"), "stats")
    record = WindowRecord(
        index=index,
        frames=_number(fields, "frames", 0),
        key=_digest(fields, "key"),
        segment=_segment_or_none(fields, index),
        carries=_flag(fields, "carries"),
        carry=_file_or_none(fields, "carry", carry_name(index)),
        stats=WindowStats(
            _figure(stats, "seconds") or 0.0,
            _figure(stats, "drift"),
            _figure(stats, "seam"),
            _flag(stats, "finite"),
        ),
    )
    if (record.segment is None) != (record.frames == 0):
        _damaged(f"window {index} has {record.frames} frames and {record.segment or 'no file'}")
    if record.carry is not None and not record.carries:
        _damaged(f"window {index} has a file that the next one does not need")
    return record


def _segment_or_none(fields: Fields, index: int) -> FileRecord | None:
    entry = fields.get("segment")
    named = None if entry is None else _fields(entry, "segment").get("name")
    possible = {segment_name(index, suffix) for suffix in SEGMENT_SUFFIXES}
    name = named if isinstance(named, str) and named in possible else segment_name(index)
    return _file_or_none(fields, "segment", name)


def _file_or_none(fields: Fields, name: str, file_name: str) -> FileRecord | None:
    entry = fields.get(name)
    return None if entry is None else _file(entry, file_name)


def _file(entry: object, name: str) -> FileRecord:
    fields = _fields(entry, name)
    if fields.get("name") != name:
        _damaged(f"it names {fields.get('name')!r:.80} where only {name} can be")
    return FileRecord(name, _number(fields, "bytes", 1), _digest(fields, "digest"))


def _final_name(entry: object) -> str:
    """The name of the finished video, harmless as names go; where links lead is looked at when it is used."""
    name = _fields(entry, "final").get("name")
    if not isinstance(name, str) or not name.endswith(FINAL_ENDINGS):
        _damaged(f"it names {name!r:.80} as its video")
    try:
        checked_parts(name)
    except EverTalkError as error:
        raise DamagedManifestError(f"the manifest is damaged: {error}") from error
    return name


def _settings(value: object) -> dict[str, str]:
    fields = _fields(value, "settings")
    if len(fields) > MAX_SETTINGS:
        _damaged(f"it has {len(fields)} settings")
    for name, text in fields.items():
        if not isinstance(text, str) or len(text) + len(name) > MAX_TEXT:
            _damaged(f"the setting {name!r:.40} is not a short text")
    return cast("dict[str, str]", dict(fields))


def _fields(value: object, what: str) -> Fields:
    if not isinstance(value, dict):
        _damaged(f"{what} is not a JSON object")
    return cast("Fields", value)


def _number(fields: Fields, name: str, least: int, most: int = MAX_NUMBER) -> int:
    value = fields.get(name)
    if type(value) is not int or not least <= value <= most:
        _damaged(f"{name!r} is {value!r:.40}, expected a whole number from {least} to {most}")
    return value


def _flag(fields: Fields, name: str) -> bool:
    value = fields.get(name)
    if not isinstance(value, bool):
        _damaged(f"{name!r} is {value!r:.40}, expected true or false")
    return value


def _figure(fields: Fields, name: str) -> float | None:
    value = fields.get(name)
    if value is None:
        return None
    if type(value) not in (int, float) or not math.isfinite(cast("float", value)):
        _damaged(f"{name!r} is {value!r:.40}, expected a number")
    return float(cast("float", value))


def _digest(fields: Fields, name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not DIGEST.fullmatch(value):
        _damaged(f"{name!r} is {value!r:.40}, expected 32 hexadecimal characters")
    return value


def _no_constant(name: str) -> Any:
    _damaged(f"it holds {name}")


def _damaged(what: str) -> NoReturn:
    raise DamagedManifestError(f"the manifest is damaged: {what}")
