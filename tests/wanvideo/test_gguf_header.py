import struct
from pathlib import Path

import pytest
from evertalk_pack.wanvideo.checkpoint import read_header
from evertalk_pack.wanvideo.errors import CheckpointError

pytest.importorskip("gguf")


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def gguf_file(tensors: bytes = b"", entries: bytes = b"", counts: tuple[int, int] = (0, 0)) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, *counts) + entries + tensors


def tensor(name: bytes = b"a", sizes: tuple[int, ...] = (2,), kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, kind, offset)


def padded(head: bytes, data: bytes) -> bytes:
    return head + bytes(-len(head) % 32) + data


def refused(path: Path, content: bytes, complaint: str) -> None:
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=complaint):
        read_header(path)


def test_reads_names_types_and_shapes_behind_metadata_of_every_form(tmp_path: Path) -> None:
    words = struct.pack("<IQ", 8, 2) + text(b"one") + text(b"two")
    entries = text(b"words") + struct.pack("<I", 9) + words
    entries += text(b"numbers") + struct.pack("<IIQ3I", 9, 4, 3, 1, 2, 3)
    entries += text(b"name") + struct.pack("<I", 8) + text(b"x")
    head = gguf_file(tensor(sizes=(2, 3)) + tensor(b"b", (32,), 8, 32), entries, (2, 3))
    path = tmp_path / "a.gguf"
    path.write_bytes(padded(head, bytes(32 + 34)))
    header = read_header(path)
    assert header.is_gguf
    assert dict(header.tensors) == {"a": ("F32", (3, 2)), "b": ("Q8_0", (32,))}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (gguf_file(counts=(100_001, 0)), "claims 100001 tensors, more than 100000"),
        (gguf_file(counts=(0, 20_001)), "claims 20001 entries of metadata, more than 20000"),
        (
            gguf_file(entries=text(b"a") + struct.pack("<IIQ", 9, 4, 2_000_001), counts=(0, 1)),
            "claims an array of 2000001 values, more than 2000000",
        ),
        (gguf_file(entries=text(b"a") + struct.pack("<IQ", 8, 99), counts=(0, 1)), "claims more bytes than"),
        (gguf_file(entries=text(b"a") + struct.pack("<I", 77), counts=(0, 1)), "unknown kind 77"),
        (gguf_file(entries=text(b"x" * 1025), counts=(0, 1)), "a name of 1025 bytes, more than 1024"),
        (gguf_file(entries=text(b"\xff"), counts=(0, 1)), "not UTF-8"),
        (gguf_file(tensor(sizes=(1,) * 9), counts=(1, 0)), "`a` has 9 dimensions, more than 8"),
        (gguf_file(tensor(sizes=(2**63,)), counts=(1, 0)), "sizes or an offset that cannot be"),
        (gguf_file(tensor(offset=1), counts=(1, 0)), "sizes or an offset that cannot be"),
        (gguf_file(tensor(kind=9_999), counts=(1, 0)), "has the type 9999"),
        (gguf_file(tensor(sizes=(3,), kind=8), counts=(1, 0)), "not whole Q8_0 blocks"),
        (padded(gguf_file(tensor() * 2, counts=(2, 0)), bytes(64)), "names a tensor twice"),
        (
            padded(gguf_file(tensor(sizes=(9,)) + tensor(b"b", offset=32), counts=(2, 0)), bytes(64)),
            "overlap at byte 32",
        ),
        (padded(gguf_file(tensor(), counts=(1, 0)), bytes(7)), "end at byte 8 of 7: the file is cut off"),
        (gguf_file()[:-1], "claims more bytes than the 23"),
        (b"GGUF" + struct.pack("<IQQ", 9, 0, 0), "has version 9, expected 2 or 3"),
    ],
)
def test_a_hostile_header_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    refused(tmp_path / "bad.gguf", content, rf"`bad\.gguf` is not a usable GGUF file: .*{complaint}")
