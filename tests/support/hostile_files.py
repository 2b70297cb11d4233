"""Files that are almost right: whole ones of each kind that the pack reads, with one to four things changed.

Each can be made again from its seed and number. All are small, and so is what is planted in a run's folder.
"""

import json
import os
import struct
import zlib
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import av
from evertalk_pack.multitalk.runs.manifest import (
    FileRecord,
    Manifest,
    WindowRecord,
    WindowStats,
    carry_name,
    dump_manifest,
    segment_name,
)
from hostile_routes import JUNK, places_of

MEDIA = Path(__file__).resolve().parents[2] / "demo" / "media"
NUMBERS = (0, 1, 2, 255, 256, 65_535, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1)
"""Put over four or eight bytes of a file."""

MOST_BYTES = 200_000
PACKETS = 40
"""Of a clip's pictures and of its sound."""

LINKED, KEPT = "outside", "kept.txt"
"""A folder beside the run's that links lead to, and a file in it that must stay as it is."""


@dataclass
class HostileFile:
    """One file.

    Attributes:
        name: seed and number, and what was changed.
        kind: see KINDS.
        suffix: of its name.
        content: its bytes.
        planted: for a run's folder: what else is put there, name to kind and content.
    """

    name: str
    kind: str
    suffix: str
    content: bytes
    planted: dict[str, tuple[str, bytes]] = field(default_factory=dict[str, tuple[str, bytes]])


def chunk(name: bytes, data: bytes) -> bytes:
    """A part of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, depth: int = 8, colour: int = 2) -> bytes:
    """A grey picture; one that claims more than it holds if it is large."""
    rows = zlib.compress((b"\0" + b"\x55" * min(3 * width, 600)) * min(height, 200))
    about = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    text = chunk(b"tEXt", b"Comment\0a picture")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", about) + text + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def wav(samples: int = 3_000, rate_hz: int = 16_000) -> bytes:
    """A mono sound of 16 bits."""
    data = bytes(one % 251 for one in range(2 * samples))
    form = struct.pack("<HHIIHH", 1, 1, rate_hz, 2 * rate_hz, 2, 16)
    tags = b"LIST" + struct.pack("<I", 16) + b"INFOINAM" + struct.pack("<I", 4) + b"name"
    parts = b"WAVEfmt " + struct.pack("<I", 16) + form + tags + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(parts)) + parts


def safetensors(tensors: dict[str, Any], data: bytes) -> bytes:
    """A file with this header and these bytes behind it."""
    header = json.dumps(tensors).encode()
    return len(header).to_bytes(8, "little") + header + data


def text_embeds() -> dict[str, Any]:
    """The header of a prepared prompt of 96 bytes."""
    about = {"evertalk_text_embeds": '{"version": 1}'}
    return {"__metadata__": about, "cross_attn": {"dtype": "F32", "shape": [4, 6], "data_offsets": [0, 96]}}


def carry() -> dict[str, Any]:
    """The header of motion frames of 96 bytes."""
    return {"motion_FHWC": {"dtype": "F32", "shape": [2, 2, 2, 3], "data_offsets": [0, 96]}}


def gguf() -> bytes:
    """A header with metadata of each form, and two tensors."""

    def text(value: bytes) -> bytes:
        return struct.pack("<Q", len(value)) + value

    entries = text(b"words") + struct.pack("<IIQ", 9, 8, 2) + text(b"one") + text(b"two")
    entries += text(b"numbers") + struct.pack("<IIQ3I", 9, 4, 3, 1, 2, 3)
    entries += text(b"general.alignment") + struct.pack("<II", 4, 32)
    tensors = text(b"a") + struct.pack("<I2QIQ", 2, 2, 3, 0, 0)
    tensors += text(b"b") + struct.pack("<I1QIQ", 1, 32, 8, 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, 2, 3) + entries + tensors
    return head + bytes(-len(head) % 32 + 66)


def with_sound(path: Path) -> bytes:
    """The clip beside a sound in one file, neither encoded anew: in the container of the path's ending."""
    options = {"fflags": "bitexact", "strict": "experimental"}
    clip, speech = MEDIA / "clip.mp4", MEDIA / "speech_b.flac"
    with (
        av.open(str(clip)) as film,
        av.open(str(speech)) as sound,
        av.open(str(path), "w", options=options) as made,
    ):
        streams = [
            made.add_stream_from_template(one) for one in (film.streams.video[0], sound.streams.audio[0])
        ]
        for source, stream in zip((film, sound), streams, strict=True):
            for packet in islice(source.demux(source.streams[0]), PACKETS):
                if packet.dts is not None:
                    packet.stream = stream
                    made.mux(packet)
    return path.read_bytes()


def manifest(keys: tuple[str, ...], fingerprint: str) -> Manifest:
    """A manifest whose first two windows have the keys of a run."""
    digest = "0" * 32
    windows = [
        WindowRecord(
            index,
            17 if index == 0 else 12,
            key,
            FileRecord(segment_name(index), 1_000, digest),
            carries=True,
            carry=FileRecord(carry_name(index), 500, digest),
            stats=WindowStats(1.0),
        )
        for index, key in enumerate(keys[:2])
    ]
    final = FileRecord("EverTalk/toy_00001_.mp4", 1_000, digest)
    return Manifest(fingerprint, {"seed": "0"}, len(keys), tuple(windows), final)


class Files:
    """Makes files.

    Args:
        seed: all of them are made from.
        folder: for what is needed to make them.
        keys: of the windows of a run, whose folder is planted with them.
        fingerprint: of that run.
    """

    def __init__(self, seed: int, folder: Path, keys: tuple[str, ...], fingerprint: str) -> None:
        self._seed = seed
        flac = (MEDIA / "speech_b.flac").read_bytes()
        matroska, sounding = with_sound(folder / "clip.mkv"), with_sound(folder / "sounding.mp4")
        self._whole = {".mkv": matroska, ".mp4": sounding}
        self._manifest = json.loads(dump_manifest(manifest(keys, fingerprint)))
        self._makers: tuple[tuple[str, Callable[[Random], HostileFile]], ...] = (
            ("embeds", lambda draw: self._tensors(draw, "embeds", text_embeds())),
            ("carry", lambda draw: self._tensors(draw, "carry", carry())),
            ("gguf", lambda draw: self._bytes(draw, "gguf", ".gguf", gguf(), 240)),
            ("manifest", self._manifests),
            ("run", self._runs),
            ("lock", self._locks),
            ("sound", lambda draw: self._bytes(draw, "sound", ".wav", wav(), 80)),
            ("sound", lambda draw: self._bytes(draw, "sound", ".flac", flac, 200)),
            ("picture", self._pictures),
            ("clip", lambda draw: self._bytes(draw, "clip", ".mp4", sounding, 4_000)),
            ("clip", lambda draw: self._bytes(draw, "clip", ".mkv", matroska, 1_000)),
            ("clip", lambda draw: self._boxes(draw, sounding)),
        )

    @property
    def kinds(self) -> set[str]:
        """Of the files."""
        return {kind for kind, _ in self._makers}

    def file(self, number: int) -> HostileFile:
        """The file of a number; the kinds take turns."""
        draw = Random(f"{self._seed}:{number}")
        kind, make = self._makers[number % len(self._makers)]
        made = make(draw)
        made.name = f"{self._seed}:{number} {kind}{made.suffix} {made.name}"
        made.content = made.content[:MOST_BYTES]
        return made

    def good(self) -> list[HostileFile]:
        """One of each kind, as it should be."""
        png_, clip = png(40, 30), (MEDIA / "clip.mp4").read_bytes()
        return [
            HostileFile("embeds", "embeds", ".safetensors", safetensors(text_embeds(), bytes(96))),
            HostileFile("carry", "carry", ".safetensors", safetensors(carry(), bytes(96))),
            HostileFile("gguf", "gguf", ".gguf", gguf()),
            HostileFile("manifest", "manifest", ".json", json.dumps(self._manifest).encode()),
            HostileFile("run", "run", ".json", json.dumps(self._manifest).encode()),
            HostileFile("wav", "sound", ".wav", wav()),
            HostileFile("flac", "sound", ".flac", (MEDIA / "speech_b.flac").read_bytes()),
            HostileFile("png", "picture", ".png", png_),
            HostileFile("mp4", "clip", ".mp4", clip),
            *(HostileFile(suffix, "clip", suffix, whole) for suffix, whole in self._whole.items()),
        ]

    def _bytes(
        self, draw: Random, kind: str, suffix: str, whole: bytes, head: int, most: int = 4
    ) -> HostileFile:
        """Bytes that are changed, mostly near the beginning or near the end."""
        content, told = bytearray(whole), ""
        for _ in range(draw.randint(1, most)):
            ends = (min(head, len(content)), len(content))
            place = draw.choice((draw.randrange(max(1, ends[0])), draw.randrange(max(1, ends[1]))))
            if draw.random() < 0.3:
                place = max(0, len(content) - draw.randrange(1, head))
            told += f" {changed(content, place, draw)}"
        return HostileFile(told, kind, suffix, bytes(content))

    def _boxes(self, draw: Random, clip: bytes) -> HostileFile:
        """A clip with another number in one of the boxes that say what the film is."""
        content = bytearray(clip)
        names = (b"mvhd", b"tkhd", b"mdhd", b"elst", b"stts", b"stsc", b"stsz", b"stco", b"avc1", b"hdlr")
        name = draw.choice([name for name in names if name in clip])
        place = clip.index(name) - 4 + 4 * draw.randrange(16)
        number = draw.choice(NUMBERS) % 2**32
        content[place : place + 4] = struct.pack(">I", number)
        return HostileFile(f"{name.decode()} {place} = {number}", "clip", ".mp4", bytes(content))

    def _json(self, draw: Random, value: Any) -> tuple[Any, str]:
        """JSON with one to three values that do not belong where they are."""
        value, told = deepcopy(value), ""
        for _ in range(draw.choice((1, 1, 2, 3))):
            holder, key = draw.choice(places_of(value))
            junk = deepcopy(draw.choice((*JUNK, *NUMBERS)))
            if isinstance(holder, dict) and draw.random() < 0.2:
                key = draw.choice(("__metadata__", "a\0b", "\ud800", "x" * 5_000, "__class__", ""))
            holder[key] = junk
            told += f" {ascii(key)[:40]} = {ascii(junk)[:60]}"
        return value, told

    def _tensors(self, draw: Random, kind: str, header: dict[str, Any]) -> HostileFile:
        if draw.random() < 0.3:
            return self._bytes(draw, kind, ".safetensors", safetensors(header, bytes(96)), 120)
        value, told = self._json(draw, header)
        data = draw.randbytes(96) if draw.random() < 0.3 else bytes(draw.choice((96, 96, 0, 95, 97)))
        return HostileFile(told, kind, ".safetensors", safetensors(value, data))

    def _manifests(self, draw: Random) -> HostileFile:
        if draw.random() < 0.2:
            return self._bytes(draw, "manifest", ".json", json.dumps(self._manifest).encode(), 400)
        value, told = self._json(draw, self._manifest)
        return HostileFile(told, "manifest", ".json", json.dumps(value).encode())

    def _runs(self, draw: Random) -> HostileFile:
        """A run's folder in which something is that no run has put there."""
        value, told = deepcopy(self._manifest), ""
        if draw.random() < 0.5:
            value, told = self._json(draw, value)
        names = (
            *("manifest.json", "w000000.mp4", "w000001.mp4", "c000000.safetensors", "c000001.safetensors"),
            *("final.mp4", "incomplete.mp4", ".part-a.mp4", "w.mp4", "lock", "lock.takeover", "other"),
        )
        kinds = ("folder", "link", "link to nothing", "pipe", "file", "full folder", "link to itself")
        planted = {
            draw.choice(names): (draw.choice(kinds), draw.randbytes(draw.choice((0, 500, 1_000, 70_000))))
            for _ in range(draw.randint(1, 4))
        }
        told += f" {[(name, kind) for name, (kind, _) in planted.items()]}"
        return HostileFile(told, "run", ".json", json.dumps(value).encode(), planted)

    def _locks(self, draw: Random) -> HostileFile:
        holder = {"token": "a", "host": "b/c/d", "pid": 1, "started_s": 1.0}
        if draw.random() < 0.3:
            return self._bytes(draw, "lock", "", json.dumps(holder).encode(), 60)
        value, told = self._json(draw, holder)
        return HostileFile(told, "lock", "", json.dumps(value).encode())

    def _pictures(self, draw: Random) -> HostileFile:
        if draw.random() < 0.5:
            return self._bytes(draw, "picture", ".png", png(40, 30), 60)
        sides = (0, 1, 40, 9_000, 30_000, 60_000, 2**31 - 1, 2**32 - 1)
        size = draw.choice(sides), draw.choice(sides)
        depth, colour = draw.choice((1, 8, 16, 3)), draw.choice((0, 2, 3, 4, 6, 9))
        told = f"{size[0]}x{size[1]}, depth {depth}, colour {colour}"
        return HostileFile(told, "picture", ".png", png(*size, depth, colour))


def changed(content: bytearray, place: int, draw: Random) -> str:
    """Change something at a place in a file; says what."""
    kind = draw.choice(("number", "number", "number", "noise", "cut", "end", "again", "zeros"))
    if kind == "number":
        number, size, order = draw.choice(NUMBERS), draw.choice((4, 8)), draw.choice(("little", "big"))
        content[place : place + size] = (number % 2 ** (8 * size)).to_bytes(size, order)
        return f"{number} ({size}, {order}) at {place}"
    count = draw.choice((1, 2, 8, 40, 400))
    if kind == "noise":
        content[place : place + count] = draw.randbytes(count)
    elif kind == "cut":
        del content[place : place + count]
    elif kind == "end":
        del content[place:]
    elif kind == "again":
        content[place:place] = content[place : place + count] * draw.choice((1, 2, 50))
    else:
        content[place : place + count] = bytes(count)
    return f"{kind} {count} at {place}"


def plant(folder: Path, file: HostileFile) -> None:
    """Put a run's manifest and what is beside it into a folder, and what links lead to next to that."""
    outside = folder.parent / LINKED
    outside.mkdir(exist_ok=True)
    (outside / KEPT).write_text("kept")
    (folder / "manifest.json").write_bytes(file.content)
    for name, (kind, content) in file.planted.items():
        path = folder / name
        path.unlink(missing_ok=True)
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "file":
            path.write_bytes(content)
        elif kind.startswith("link"):
            targets = {"link": outside / KEPT, "link to itself": path}
            path.symlink_to(targets.get(kind, outside / "nothing"))
        else:
            path.mkdir()
            if kind == "full folder":
                (path / "inner").mkdir()
                (path / "inner" / "link").symlink_to(outside)
                (path / "file").write_bytes(content)
