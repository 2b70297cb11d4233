"""The stills of a run's first clip, kept beside its windows: with them it goes on after a stop as it was.

They are written whole, once, before the first window begins, and read one at a time: those of a long film are
as much as a window of frames. The file's name holds the key of all that the clip was made of, its metadata a
digest: a file that is damaged, foreign or of another clip is not taken, and the clip is made again.

Shape letters: N stills, H and W pixels, C channels.
"""

import json
import shutil
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from ...wanvideo.errors import CheckpointError
from ...wanvideo.plain_file import NotPlainFileError
from ...wanvideo.safetensors_header import read_safetensors_header
from ..common.atomic_file import whole_file
from ..common.fingerprint import SHORT_CHARACTERS, chained
from .folder import RunPlace
from .window_reuse import other_folders

STILLS = "stills_NHWC"
KEY, DIGEST = "key", "digest"
TYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
"""What frames are decoded to, and how a safetensors file calls it."""


@dataclass(frozen=True, slots=True)
class FirstClipFile:
    """The stills of a first clip.

    Attributes:
        path: the file.
        wanted: the clip's frames that it holds, in order.
    """

    path: Path
    wanted: tuple[int, ...]

    def __call__(self, frame: int) -> torch.Tensor:
        """A frame (H, W, 3) of the clip, 0..1."""
        with safe_open(str(self.path), "pt") as file:
            place = self.wanted.index(frame)
            return file.get_slice(STILLS)[place : place + 1][0]


def clip_path(folder: Path, key: str) -> Path:
    """Where a run keeps the stills of the clip with this key."""
    return folder / f"first_clip_{key[:SHORT_CHARACTERS]}.safetensors"


def keep_first_clip(
    folder: Path, key: str, wanted: tuple[int, ...], clip_FHWC: torch.Tensor
) -> FirstClipFile:
    """Save the wanted frames of a clip (F, H, W, 3), lossless. Raises OSError."""
    # One after the other, not by safetensors' own `save`, which takes a copy of all of them.
    stills = [clip_FHWC[frame].detach().cpu() for frame in wanted]
    head = _head((len(wanted), *clip_FHWC.shape[1:]), clip_FHWC.dtype, {KEY: key, DIGEST: _digest(stills)})
    with whole_file(clip_path(folder, key)) as temporary, temporary.open("wb") as file:
        file.write(head)
        for still in stills:
            file.write(still.contiguous().view(torch.uint8).numpy().data)
    return FirstClipFile(clip_path(folder, key), wanted)


def _head(shape: tuple[int, ...], dtype: torch.dtype, metadata: dict[str, str]) -> bytes:
    """What a safetensors file of one tensor begins with."""
    end = torch.Size(shape).numel() * dtype.itemsize
    entry = {"dtype": TYPES[dtype], "shape": list(shape), "data_offsets": [0, end]}
    text = json.dumps({"__metadata__": metadata, STILLS: entry}).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _digest(stills: Iterable[torch.Tensor]) -> str:
    """What stands for all of them, in order."""
    digest = ""
    for still in stills:
        digest = chained(digest, still)
    return digest


def find_first_clip(
    place: RunPlace, folder: Path, key: str, wanted: tuple[int, ...], size: tuple[int, int]
) -> FirstClipFile | None:
    """The stills that this run or another of the same prefix has kept, brought to this run's folder.

    Args:
        place: where runs are.
        folder: this run's.
        key: of all that the clip is made of.
        wanted: the frames that are needed.
        size: height and width.

    Raises:
        OSError: the folder cannot be read or written.
    """
    own = clip_path(folder, key)
    shape = (len(wanted), *size, 3)
    if _is_whole(own, key, shape):
        return FirstClipFile(own, wanted)
    for other in other_folders(place, folder):
        if _is_whole(clip_path(other, key), key, shape):
            with whole_file(own) as temporary:
                shutil.copyfile(clip_path(other, key), temporary)
            return FirstClipFile(own, wanted) if _is_whole(own, key, shape) else None
    return None


def _is_whole(path: Path, key: str, shape: tuple[int, ...]) -> bool:
    """Whether a plain file with such stills stands there, as it was written. Raises OSError."""
    try:
        header = read_safetensors_header(path)
        found = header.tensors.get(STILLS)
        if (
            found is None
            or len(header.tensors) != 1
            or found.shape != shape
            or found.dtype not in TYPES.values()
        ):
            return False
        if header.metadata.get(KEY) != key:
            return False
        kept = FirstClipFile(path, tuple(range(shape[0])))
        return header.metadata.get(DIGEST) == _digest(kept(frame) for frame in kept.wanted)
    except (FileNotFoundError, NotADirectoryError, NotPlainFileError, CheckpointError, SafetensorError):
        return False
