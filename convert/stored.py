"""Workflows that ComfyUI and its packs store in what they make: PNG, WebP, and videos that FFmpeg reads."""

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any, BinaryIO, cast

from .errors import ConvertError

PNG, EBML = b"\x89PNG\r\n\x1a\n", b"\x1aE\xdf\xa3"
HEAD_BYTES = 12
"""So many tell what a file is."""

MAX_TEXT_BYTES = 32 * 2**20
"""Of one text; workflows have some hundred kilobytes."""

MAX_KEY_BYTES = 79
"""Of a text's name in a PNG. Other programs' texts may be of any length; they are not read."""

ASCII = 2
"""The number of texts among the types of EXIF."""

ESCAPING_PYAV = 19

KEYS = ("prompt", "workflow")
"""What a file calls its workflow, the better first: as it was queued, with the names of all values."""

COMMENT = "comment"
"""Where older versions of VideoHelperSuite put both."""

DAMAGE = (ValueError, LookupError, TypeError, struct.error, zlib.error, RecursionError)


def is_media(head: bytes) -> bool:
    """Whether a file that begins so is a picture or a video that may hold a workflow."""
    is_webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    return head.startswith((PNG, EBML)) or is_webp or head[4:8] == b"ftyp"


def stored_workflow(file: BinaryIO) -> object:
    """The workflow in a picture or video, as parsed JSON.

    Args:
        file: at its beginning, of a kind that `is_media` knows.

    Raises:
        ConvertError: it holds none, or is damaged.
    """
    try:
        found = _first_object(_texts(file))
        if found is not None:
            return found
    except DAMAGE as error:
        raise ConvertError(
            f"workflow: the file is damaged, or what it holds is not a workflow ({error!r}). Choose another "
            "file, or the workflow as JSON"
        ) from error
    raise ConvertError(
        "workflow: the file holds no workflow; ComfyUI was told not to save it, or another program rewrote "
        "the file. Choose another file, or the workflow as JSON"
    )


def _first_object(texts: Mapping[str, str]) -> object:
    """The better of two workflows; None if there is none. Other programs keep their own under the same names.

    Raises:
        ValueError: nothing under these names is a workflow.
    """
    failure: Exception | None = None
    for key in KEYS:
        if key not in texts:
            continue
        try:
            # Nodes that always run are saved with NaN, which is not JSON.
            held: object = json.loads(texts[key], parse_constant=lambda _name: None)
        except (ValueError, RecursionError) as error:
            failure = failure or error
            continue
        if isinstance(held, dict):
            return cast("object", held)
        failure = failure or ValueError(f"{key}: expected an object")
    if failure is not None:
        raise failure
    return None


def _texts(file: BinaryIO) -> Mapping[str, str]:
    """What a file says about itself, by name."""
    head = file.read(HEAD_BYTES)
    file.seek(0)
    if head.startswith(PNG):
        return _png_texts(file)
    return _webp_texts(file) if head.startswith(b"RIFF") else _video_texts(file)


def _png_texts(file: BinaryIO) -> dict[str, str]:
    texts: dict[str, str] = {}
    file.seek(len(PNG))
    while len(header := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", header)
        if kind not in (b"tEXt", b"zTXt", b"iTXt"):
            file.seek(length + 4, 1)  # with its checksum
            continue
        start = file.tell()
        key = file.read(min(length, MAX_KEY_BYTES + 1)).partition(b"\0")[0].decode("latin-1")
        if key in KEYS:
            file.seek(start)
            texts[key] = _png_text(kind, _bounded(file, length).partition(b"\0")[2])
        file.seek(start + length + 4)
    return texts


def _png_text(kind: bytes, rest: bytes) -> str:
    if kind == b"tEXt":
        return rest.decode("latin-1")
    if kind == b"zTXt":
        return _unpacked(rest[1:]).decode("latin-1")
    is_packed, text = rest[0] == 1, rest[2:].split(b"\0", 2)[2]  # after a language and a translated key
    return (_unpacked(text) if is_packed else text).decode()


def _unpacked(packed: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(packed, MAX_TEXT_BYTES)
    if unpacker.unconsumed_tail:
        raise ValueError(f"a text of more than {MAX_TEXT_BYTES} bytes")
    return text


def _webp_texts(file: BinaryIO) -> dict[str, str]:
    file.seek(HEAD_BYTES)
    while len(header := file.read(8)) == 8:
        kind, length = struct.unpack("<4sI", header)
        if kind == b"EXIF":
            return _exif_texts(_bounded(file, length).removeprefix(b"Exif\0\0"))
        file.seek(length + length % 2, 1)
    return {}


def _exif_texts(exif: bytes) -> dict[str, str]:
    """The texts of EXIF's first directory that are `name:value`."""
    order = "<" if exif[:2] == b"II" else ">"
    (start,) = struct.unpack_from(f"{order}I", exif, 4)
    (count,) = struct.unpack_from(f"{order}H", exif, start)
    texts: dict[str, str] = {}
    for index in range(count):
        _, kind, length, at = struct.unpack_from(f"{order}HHII", exif, start + 2 + 12 * index)
        if kind == ASCII:
            name, _, value = exif[at : at + length].rstrip(b"\0").decode(errors="replace").partition(":")
            texts[name.lower()] = value
    return texts


def _video_texts(file: BinaryIO) -> dict[str, str]:
    try:
        import av.error  # noqa: PLC0415  # the script that converts runs without it, but for videos
    except ImportError as error:
        raise ConvertError(
            "workflow: a video is read by PyAV, which this Python lacks. Run the script with ComfyUI's "
            "Python, or choose the workflow as JSON"
        ) from error
    # PyAV since 19 escapes what is not UTF-8, and has no such word.
    before_19: dict[str, Any] = {"metadata_errors": "replace"}
    others = before_19 if int(av.__version__.split(".")[0]) < ESCAPING_PYAV else {}
    try:
        with av.open(file, **others) as container:
            texts = {name.lower(): _unescaped(text) for name, text in container.metadata.items()}
    except av.error.FFmpegError as error:
        raise ValueError(str(error)) from error
    return {**_texts_in(texts.get(COMMENT, "")), **texts}


def _unescaped(text: str) -> str:
    """A text that can be written anywhere, question marks for what is not UTF-8 in it."""
    return text.encode(errors="surrogateescape").decode(errors="replace")


def _texts_in(comment: str) -> dict[str, str]:
    """The texts of a comment that is an object of them; none of another program's comment."""
    if not comment.startswith("{"):
        return {}
    try:
        held = cast("dict[str, Any]", json.loads(comment))
    except (ValueError, RecursionError):
        return {}
    return {key: text if isinstance(text, str) else json.dumps(text) for key, text in held.items()}


def _bounded(file: BinaryIO, length: int) -> bytes:
    if length > MAX_TEXT_BYTES:
        raise ValueError(f"a text of {length} bytes, expected {MAX_TEXT_BYTES} at most")
    return file.read(length)
