import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from evertalk_pack.wanvideo import checkpoint, header_limits
from evertalk_pack.wanvideo.checkpoint import read_header
from evertalk_pack.wanvideo.errors import CheckpointError
from evertalk_pack.wanvideo.header_limits import (
    MAX_DIMENSIONS,
    MAX_HEADER_BYTES,
    MAX_NAME_BYTES,
    bounded_json,
)
from safetensors.torch import save_file


def write_raw(path: Path, header: bytes, data: bytes = b"", length: int | None = None) -> Path:
    claimed = len(header) if length is None else length
    path.write_bytes(claimed.to_bytes(8, "little") + header + data)
    return path


def entry(dtype: str = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def test_a_header_is_read_once_and_a_disk_that_failed_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_raw(tmp_path / "m.safetensors", json.dumps({"a": entry()}).encode(), bytes(8))
    asked: list[Path] = []

    def failing_once(file: Path) -> Any:
        asked.append(file)
        if len(asked) == 1:
            raise OSError(5, "Input/output error")
        return file.open("rb")

    monkeypatch.setattr(checkpoint, "open_plain", failing_once)
    with pytest.raises(CheckpointError, match="Input/output error"):
        read_header(path, settled_s=-1.0)
    assert read_header(path, settled_s=-1.0).shape("a") == (2,)
    assert read_header(path, settled_s=-1.0).shape("a") == (2,)
    assert len(asked) == 2, "an unchanged file's header is kept"


def test_reads_names_types_shapes_and_remarks_of_a_real_file(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    tensors = {
        "a": torch.zeros(2, 3, dtype=torch.float16),
        "b": torch.zeros(5, dtype=torch.float8_e4m3fn),
        "none": torch.zeros(0, 4),
        "scalar": torch.tensor(1.0),
    }
    save_file(tensors, path, {"note": "hello"})
    header = read_header(path)
    assert header.file_name == "model.safetensors"
    assert dict(header.metadata) == {"note": "hello"}
    assert header.tensors["a"] == ("F16", (2, 3))
    assert header.tensors["b"] == ("F8_E4M3", (5,))
    assert header.shape("none") == (0, 4)
    assert header.shape("scalar") == ()


def test_a_file_cut_at_any_place_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.safetensors"
    save_file({"a": torch.zeros(4), "b": torch.zeros(4)}, path)
    content = path.read_bytes()
    for size in (0, 7, 8, 20, len(content) - 17, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(CheckpointError, match=r"`cut\.safetensors` is not a usable .* download it again"):
            read_header(path)


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        (b"not json", "its header cannot be read: it is not JSON"),
        (b"[1, 2]", "not a JSON object"),
        (b"\xff\xfe{}", "it is not UTF-8"),
        ("{}".encode("utf-16-le"), "it is not JSON"),
        (b"[" * 2_000, "it is not JSON"),
        (b'{"a": 1, "a": 2}', "it names `a` twice"),
        (
            json.dumps({"a": entry(shape=[1] * 9)}).encode(),
            f"`a` has 9 dimensions, more than {MAX_DIMENSIONS}",
        ),
        (json.dumps({"a" * 1025: entry()}).encode(), f"`a{{80}}...` is longer than {MAX_NAME_BYTES} bytes"),
        (json.dumps({"\ud800": entry()}).encode(), r"`\\ud800` is longer than 1024 bytes, or no text"),
        (json.dumps({"a": 3}).encode(), "entry of `a`"),
        (json.dumps({"a": entry("F99")}).encode(), "unknown type 'F99'"),
        (json.dumps({"a": entry(shape=[-2])}).encode(), "not sizes"),
        (json.dumps({"a": entry(shape=[True, 2])}).encode(), "not sizes"),
        (json.dumps({"a": entry(shape="22")}).encode(), "not sizes"),
        (json.dumps({"a": entry(offsets=[0])}).encode(), "not sizes"),
        (json.dumps({"a": entry(offsets=[8, 0])}).encode(), "ends at byte 0"),
        (json.dumps({"a": entry(offsets=[0, 10**15], shape=[10**14])}).encode(), "the file is cut off"),
        (json.dumps({"a": entry(shape=[3])}).encode(), r"8 bytes, which is not F32 \[3\]"),
        (json.dumps({"a": entry(), "b": entry()}).encode(), "overlap or leave a gap at byte 8"),
        (json.dumps({"a": entry(shape=[1], offsets=[4, 8])}).encode(), "leave a gap at byte 0"),
        (json.dumps({"__metadata__": [], "a": entry()}).encode(), "metadata is not a JSON object"),
        (json.dumps({"__metadata__": {"x": 1}, "a": entry()}).encode(), "metadata holds something"),
        (
            json.dumps({"a": entry(shape=[1], offsets=[0, 4])}).encode(),
            "tensors end at byte 4, the file at 8",
        ),
    ],
)
def test_a_hostile_header_is_refused(tmp_path: Path, header: bytes, complaint: str) -> None:
    path = write_raw(tmp_path / "bad.safetensors", header, b"\0" * 8)
    with pytest.raises(CheckpointError, match=complaint):
        read_header(path)


def test_a_header_that_claims_more_than_the_limit_is_not_read(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "huge.safetensors", b"{}", length=MAX_HEADER_BYTES + 1)
    with pytest.raises(CheckpointError, match="its header claims 33554433 bytes, more than"):
        read_header(path)


@pytest.mark.parametrize(
    ("limit", "text", "complaint"),
    [
        ("MAX_BRACKETS", '{"a":[[]]}', "more lists and values"),
        ("MAX_COMMAS", "[1,2,3,4]", "more lists and values"),
        ("MAX_QUOTES", '["a","b"]', "more than 1 texts"),
        ("MAX_HEADER_BYTES", "[12]", "it has 4 bytes, more than 2"),
    ],
)
def test_json_that_says_more_than_a_limit_is_refused_before_it_is_parsed(
    monkeypatch: pytest.MonkeyPatch, limit: str, text: str, complaint: str
) -> None:
    bounded_json(text)
    monkeypatch.setattr(header_limits, limit, 2)
    monkeypatch.delattr("json.loads")
    with pytest.raises(ValueError, match=complaint):
        bounded_json(text)


def test_brackets_and_commas_in_texts_count_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    text = json.dumps({"a": '[{,"\\', "\\": "[[[,,,"})
    monkeypatch.setattr(header_limits, "MAX_BRACKETS", 1)
    monkeypatch.setattr(header_limits, "MAX_COMMAS", 1)
    assert bounded_json(text) == {"a": '[{,"\\', "\\": "[[[,,,"}


def test_a_refusal_is_short_whatever_the_file_holds(tmp_path: Path) -> None:
    for header in (
        {"\n\x1b" * 400: entry("X")},
        {"a": entry("X" * 10_000)},
        {"a": entry(shape=["b" * 10_000])},
    ):
        path = write_raw(tmp_path / "odd.safetensors", json.dumps(header).encode(), b"\0" * 8)
        with pytest.raises(CheckpointError) as refusal:
            read_header(path)
        assert len(str(refusal.value)) < 400
        assert str(refusal.value).isprintable()


def test_a_pipe_or_a_folder_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(CheckpointError, match="it is a pipe, not a plain file"):
        read_header(tmp_path / "pipe.safetensors")
    with pytest.raises(CheckpointError, match="it is a folder, not a plain file"):
        read_header(tmp_path / "folder.safetensors")


def test_a_file_is_read_once_until_it_changes(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "a.safetensors", json.dumps({"a": entry()}).encode(), b"\0" * 8)
    first = read_header(path, settled_s=-1.0)
    assert read_header(path, settled_s=-1.0) is first
    write_raw(path, json.dumps({"b": entry()}).encode(), b"\0" * 8 + b"1")
    for _ in range(2):
        with pytest.raises(CheckpointError, match="tensors end at byte 8, the file at 9"):
            read_header(path, settled_s=-1.0)


def test_a_file_of_this_moment_is_read_again(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "a.safetensors", json.dumps({"a": entry()}).encode(), b"\0" * 8)
    assert "a" in read_header(path).tensors
    write_raw(path, json.dumps({"b": entry()}).encode(), b"\0" * 8)
    assert "b" in read_header(path).tensors


def test_a_header_longer_than_its_file_is_refused(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "long.safetensors", b"{}", length=1000)
    with pytest.raises(CheckpointError, match="its header claims 1000 bytes, the file has 10"):
        read_header(path)


@pytest.mark.parametrize("name", ["model.ckpt", "model.pt", "model.pth", "model.BIN", "model.pkl"])
def test_pickles_are_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match=r"pickle files can run code: use the \.safetensors"):
        read_header(tmp_path / name)


@pytest.mark.parametrize("protocol_2", [True, False])
def test_pickles_named_safetensors_are_refused(tmp_path: Path, protocol_2: bool) -> None:
    path = tmp_path / "disguised.safetensors"
    torch.save({"a": torch.zeros(300)}, path, _use_new_zipfile_serialization=not protocol_2)
    with pytest.raises(CheckpointError, match=r"`disguised\.safetensors` is a pickle"):
        read_header(path)


def test_a_header_length_that_looks_like_a_pickle_is_still_safetensors(tmp_path: Path) -> None:
    header = json.dumps({"a": entry()}).encode()
    path = write_raw(tmp_path / "odd.safetensors", header.ljust(0x0280), b"\0" * 8)
    assert path.read_bytes().startswith(b"\x80\x02")
    assert read_header(path).shape("a") == (2,)


def test_a_file_of_another_suffix_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    with pytest.raises(CheckpointError, match=r"`notes\.txt` is not a model file"):
        read_header(path)


def test_a_missing_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"`gone\.safetensors` cannot be read"):
        read_header(tmp_path / "gone.safetensors")
