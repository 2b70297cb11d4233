"""Long tensors lie in files that nobody else sees, and are the same as those in memory."""

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from evertalk_pack.multitalk.common import tensor_file
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.common.fingerprint import fingerprint
from evertalk_pack.multitalk.common.tensor_file import (
    TensorFile,
    drop_page_cache,
    gathered,
    gathered_channels,
    pieces_of,
)
from evertalk_pack.multitalk.windows.voices import window_of_frames

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def some(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(len(shape)))


def is_mapped(tensor: torch.Tensor) -> bool:
    """Whether a tensor's memory is a file's."""
    address = tensor.data_ptr()
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, end = (int(edge, 16) for edge in line.split()[0].split("-"))
        if start <= address < end:
            return "(deleted)" in line
    raise AssertionError("no such address")


@LINUX
@pytest.mark.parametrize(("spill_bytes", "mapped"), [(40, True), (4000, False)])
def test_pieces_become_one_tensor_in_memory_or_in_a_file(
    tmp_path: Path, spill_bytes: int, mapped: bool
) -> None:
    whole = some(30, 2, 3)
    joined = gathered(iter(whole.split(7)), tmp_path, spill_bytes)
    assert torch.equal(joined, whole)
    assert is_mapped(joined) == mapped
    blocks = gathered_channels(iter(whole[:2, 0].split(2, dim=1)), tmp_path, spill_bytes)
    assert torch.equal(blocks, whole[:2, 0])
    assert blocks.is_contiguous()


@LINUX
def test_channels_in_a_file_are_each_in_one_stretch(tmp_path: Path) -> None:
    whole_CT = some(2, 1000)
    joined_CT = gathered_channels(iter(whole_CT.split(37, dim=1)), tmp_path, spill_bytes=100)
    assert torch.equal(joined_CT, whole_CT)
    assert joined_CT.is_contiguous()
    assert is_mapped(joined_CT)


def test_without_a_folder_all_stays_in_memory() -> None:
    assert torch.equal(gathered(iter(some(9).split(2)), None, spill_bytes=4), some(9))
    joined = gathered_channels(iter(some(1, 9).split(2, dim=1)), None, spill_bytes=4)
    assert torch.equal(joined, some(1, 9))
    assert gathered_channels(iter(()), None).shape == (1, 0)


@LINUX
def test_file_has_no_name_and_is_gone_with_its_tensor(tmp_path: Path) -> None:
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with TensorFile(tmp_path) as file:
        file.append(some(1000))
        values = file.mapped((10, 100))
    assert list(tmp_path.iterdir()) == []
    assert torch.equal(values, some(1000).reshape(10, 100))
    part = values[3:4]
    del values
    assert torch.equal(part, some(1000).reshape(10, 100)[3:4]), "a slice keeps the file"
    del part
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def resident_file_kb() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssFile:")[1].split()[0])


@LINUX
def test_reading_piece_by_piece_takes_no_memory_and_nothing_written_is_lost(tmp_path: Path) -> None:
    with TensorFile(tmp_path) as file:
        for _ in range(32):
            file.append(torch.ones(1 << 20))
        values = file.mapped((32 << 20,), ours=False)
    values[5] = 7
    before = most = resident_file_kb()
    total = 0.0
    for piece in pieces_of(values):
        total += float(piece.sum())
        most = max(most, resident_file_kb())
    assert total == (32 << 20) + 6
    assert most - before < 20_000, "128 MB were read"
    drop_page_cache()
    assert values[5] == 7


def test_folder_that_cannot_be_written_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"temp folder: .*file cannot be written.*--temp-directory"):
        TensorFile(tmp_path / "file")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("values", [1, 1 << 20])
def test_full_disk_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: int
) -> None:
    def full(dir: Path) -> object:  # noqa: A002  # tempfile's own name
        del dir
        return open("/dev/full", "w+b")  # noqa: PTH123

    monkeypatch.setattr(tensor_file.tempfile, "TemporaryFile", full)

    def pieces() -> Iterator[torch.Tensor]:
        yield torch.zeros(values)

    with pytest.raises(InputError, match=r"temp folder: .* cannot be written \(No space left on device\)"):
        gathered(pieces(), tmp_path, spill_bytes=0)


@LINUX
def test_window_of_a_mapped_track_reads_no_more_than_itself(tmp_path: Path) -> None:
    with TensorFile(tmp_path) as file:
        for _ in range(32):
            file.append(torch.ones(1 << 20))
        track_NLC = file.mapped((32_768, 4, 256))
    drop_page_cache()
    before = resident_file_kb()
    audio_FKLC = window_of_frames(track_NLC, 20_000, 81)
    assert audio_FKLC.shape == (81, 5, 4, 256)
    assert audio_FKLC.min() == 1
    assert resident_file_kb() - before < 20_000, "the track has 128 MB"
    fingerprint(track_NLC)
    assert resident_file_kb() - before < 40_000
