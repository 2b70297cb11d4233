"""How many samples an mp4 or mov says that it has, before FFmpeg believes it.

FFmpeg makes an index entry for each, and the file may claim a thousand million of them in a kilobyte: that
many entries fill 70 GB. Files of other kinds pass.

Source: ISO/IEC 14496-12: boxes, 8.7.3 (stsz) and 8.8.8 (trun).
"""

import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from ...wanvideo.plain_file import open_plain

CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"}
FIRST_BOXES = {b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"pnot", b"sidx"}
MAX_BOXES = 1_000_000
"""Boxes that are looked at: an hour of fragments has some ten thousand."""


def claims_too_much(video: str | bytes, max_boxes: int = MAX_BOXES) -> bool:
    """Whether an mp4 names more samples than it has bytes, or more boxes than any film has.

    Args:
        video: path of a file, or its bytes. Raises OSError where it cannot be read.
        max_boxes: that are looked at.
    """
    with BytesIO(video) if isinstance(video, bytes) else open_plain(Path(video)) as file:
        size = file.seek(0, 2)
        file.seek(4)
        if file.read(4) not in FIRST_BOXES:
            return False
        claimed = 0
        for number, samples in enumerate(_claims(file, size)):
            claimed += samples
            if claimed > size or number > max_boxes:
                return True
    return False


def _claims(file: BinaryIO, size: int) -> Iterator[int]:
    """For each box, in whatever box it is: how many samples it names."""
    place = 0
    while place + 8 <= size:
        file.seek(place)
        length, kind = struct.unpack(">I4s", file.read(8))
        header = 8
        if length == 1:
            header, length = 16, int.from_bytes(file.read(8), "big")
        if kind in CONTAINERS:
            yield 0
            place += header  # its boxes come next
            continue
        yield _samples_of(kind, file.read(12))
        if length < header:  # to the end of the file, or damaged
            return
        place += length


def _samples_of(kind: bytes, start: bytes) -> int:
    """How many samples a box names without a word for each; `start`: what follows its header."""
    if len(start) < 12 and kind == b"stsz":
        return 0
    if kind == b"stsz":
        _, one_size, count = struct.unpack(">III", start)
        return count if one_size else 0
    if kind == b"trun" and len(start) >= 8:
        flags, count = struct.unpack(">II", start[:8])
        return 0 if flags & 0xF00 else count
    return 0
