"""A model as the hub has it: a folder with a config, its weights in several files, and an index of them.

The config says sizes and class, the index which weight is in which file. Both are validated: they are read
up to a limit, and every file is looked at by its own header (safetensors_header.py).
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

from .errors import CheckpointError
from .header_limits import MAX_HEADER_BYTES, JsonLimitError, bounded_json, short
from .plain_file import read_plain

CONFIG_NAME = "config.json"
PUBLISHED_STEM = "diffusion_pytorch_model"
INDEX_NAME = f"{PUBLISHED_STEM}.safetensors.index.json"
WEIGHTS_SUFFIX = ".safetensors"

WAN_CLASS = "WanModel"
"""What the published configs of Wan 2.1 and of the models made from it call their class."""

SIZE_KEYS = ("dim", "num_layers", "in_dim", "ffn_dim")
"""What a config says that the weights' shapes say too."""

HEAD_DIM = 128
"""Channels of an attention head of Wan's, of any size; ComfyUI knows no other."""

MAX_CONFIG_BYTES = 2**20
"""The published ones have some 600."""

MAX_SHARDS = 256
"""A model of 14B comes in 7 files, of 480B in about 100."""

MAX_ENTRIES = 10_000
"""Of a folder; the whole repository of such a model has some 30."""

LISTED_NAMES = 5
"""In a message."""

_NUMBERED = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.safetensors")

Config = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder whose files are all there.

    Attributes:
        config: what its config.json says.
        shards: the files that hold its weights.
    """

    config: Config
    shards: tuple[Path, ...]


def is_folder_of_weights(path: Path) -> bool:
    """Whether a folder has weights in it, whosever they are; nothing of them is read."""
    # os.path, since pathlib raises for names that are too long.
    return os.path.isdir(path) and next(path.glob(f"*{WEIGHTS_SUFFIX}"), None) is not None  # noqa: PTH112


def is_model_folder(path: Path) -> bool:
    """Whether a folder is offered as a model: a transformer's parts by their names, or by its config a Wan's.

    Encoders come as folders too, often inside of the folder of the model that they belong to.
    """
    if not (path / CONFIG_NAME).is_file() or not is_folder_of_weights(path):
        return False
    if next(path.glob(f"{PUBLISHED_STEM}*{WEIGHTS_SUFFIX}"), None) is not None:
        return True
    try:
        return _object(path, CONFIG_NAME, MAX_CONFIG_BYTES).get("_class_name") == WAN_CLASS
    except CheckpointError:
        return False


def is_shard(name: str) -> bool:
    """Whether a file's name says that it holds a part of a model's weights only."""
    found = _NUMBERED.fullmatch(name)
    return found is not None and int(found["count"]) > 1


def weight_files(path: Path) -> tuple[Path, ...]:
    """The files that a model's weights are in: those of a folder, or the file itself.

    Raises:
        CheckpointError: a folder that is not whole.
        OSError: a folder that cannot be read.
    """
    return open_folder(path).shards if path.is_dir() else (path,)


def known_by(path: Path) -> tuple[Path, ...]:
    """The files that decide what a folder holds: when one of them changes, it is another model.

    Raises:
        OSError: the folder cannot be read.
    """
    beside = (path / name for name in (CONFIG_NAME, INDEX_NAME))
    return (*_weights_in(path), *(file for file in beside if file.is_file()))


def open_folder(path: Path) -> ModelFolder:
    """The model folder at `path`: its config, and its files, which are all there; their headers are not read.

    Raises:
        CheckpointError: no config of a Wan model, a file that is missing, or an index that is none.
        OSError: it cannot be read.
    """
    config = _object(path, CONFIG_NAME, MAX_CONFIG_BYTES)
    _check_config(path, config)
    there = {file.name: file for file in _weights_in(path)}
    index = _index(path) if counts_index(config) else None
    names = set(there) if index is None else set(index.values())
    if len(names) > MAX_SHARDS:
        raise CheckpointError(f"`{path.name}` is of {len(names)} files, more than {MAX_SHARDS}.")
    missing = sorted((names | _of_numbered(names)) - there.keys())
    if missing:
        raise CheckpointError(
            f"`{path.name}` is not whole: it lacks {_listed(missing)}. Download what is missing into that "
            "folder, under the same names."
        )
    if not names:
        raise CheckpointError(
            f"`{path.name}` holds no .safetensors file. Download the model's files into it."
        )
    return ModelFolder(config, tuple(there[name] for name in sorted(names)))


def counts_index(config: Config) -> bool:
    """Whether a folder's index says which files count: SkyReels-V3's own loader reads every file there is.

    Its config differs from those of the models whose loaders go by the index in naming no `weight_init`.
    """
    return "weight_init" in config or "audio_window" not in config


def check_index(path: Path, tensors_of: Mapping[str, Mapping[str, object]]) -> None:
    """Refuse an index that names weights which its files do not hold.

    Args:
        path: the folder.
        tensors_of: the weights by name, of each file by its name.

    Raises:
        CheckpointError: names the first such weight and its file.
    """
    for weight, shard in (_index(path) or {}).items():
        if shard in tensors_of and weight not in tensors_of[shard]:
            raise CheckpointError(
                f"`{path.name}`: its index says that {short(weight)} is in {short(shard)}, which does not "
                "hold it. The files are of different downloads: delete the folder and download it again."
            )


def check_sizes(path: Path, config: Config, found: Mapping[str, int]) -> None:
    """Refuse weights of other sizes than their config says.

    Args:
        path: the folder.
        config: its config.
        found: what the weights' shapes say, by the names of SIZE_KEYS.

    Raises:
        CheckpointError: names the size, and both values.
    """
    heads = found["dim"] // HEAD_DIM
    for name, size in {**found, "num_heads": heads}.items():
        if config.get(name, size) != size:
            raise CheckpointError(
                f"`{path.name}`: its config.json says {name} {config[name]!r:.20}, but its weights have "
                f"{size}. The files are of different models: delete the folder and download it again."
            )


def _check_config(path: Path, config: Config) -> None:
    """Refuse what is not the config of a Wan transformer."""
    name = config.get("_class_name", WAN_CLASS)
    if name != WAN_CLASS:
        raise CheckpointError(
            f"`{path.name}`: its config.json is of a {short(str(name))}, expected a {WAN_CLASS}. Choose the "
            "folder of a Wan 2.1 image-to-video model, of SoulX-FlashTalk or of SkyReels-V3-A2V, as it is "
            "published."
        )
    wrong = [name for name in SIZE_KEYS if type(config.get(name)) is not int]
    if wrong:
        raise CheckpointError(
            f"`{path.name}`: its config.json gives no {', '.join(wrong)}, so it is not of a Wan transformer. "
            "Choose the folder of such a model, as it is published."
        )


def _index(path: Path) -> dict[str, str] | None:
    """Which file each weight is in, or None where the folder has no index."""
    if not (path / INDEX_NAME).exists():
        return None
    mapped = _object(path, INDEX_NAME, MAX_HEADER_BYTES).get("weight_map")
    if not isinstance(mapped, Mapping) or not mapped:
        raise _damaged(path, INDEX_NAME, "it has no weight_map")
    named = cast("Mapping[str, object]", mapped)
    for shard in named.values():
        if not isinstance(shard, str) or not shard.endswith(WEIGHTS_SUFFIX) or Path(shard).name != shard:
            raise _damaged(path, INDEX_NAME, f"it names {short(str(shard))}, which is not in the folder")
    return cast("dict[str, str]", dict(named))


def _of_numbered(names: set[str]) -> set[str]:
    """All files of the sets that numbered ones among these are of: `a-00001-of-00003.safetensors` is of 3."""
    found: set[str] = set()
    for name in names:
        match = _NUMBERED.fullmatch(name)
        if match is not None and int(match["count"]) <= MAX_SHARDS:
            count = int(match["count"])
            numbers = range(1, count + 1)
            found |= {f"{match['stem']}-{one:05d}-of-{count:05d}{WEIGHTS_SUFFIX}" for one in numbers}
    return found


def _weights_in(path: Path) -> list[Path]:
    entries = list(islice(path.iterdir(), MAX_ENTRIES + 1))
    if len(entries) > MAX_ENTRIES:
        raise CheckpointError(f"`{path.name}` has more than {MAX_ENTRIES} entries: not a model's folder.")
    return sorted(one for one in entries if one.name.endswith(WEIGHTS_SUFFIX) and one.is_file())


def _object(path: Path, name: str, max_bytes: int) -> dict[str, Any]:
    """A JSON object in the folder."""
    try:
        content = read_plain(path / name, max_bytes)
    except OSError as error:
        raise CheckpointError(
            f"`{path.name}`: its {name} cannot be read: {error.strerror}. Download it into that folder again."
        ) from error
    if len(content) > max_bytes:
        raise _damaged(path, name, f"it has more than {max_bytes} bytes")
    try:
        value = bounded_json(content)
    except JsonLimitError as error:
        raise _damaged(path, name, str(error)) from error
    if not isinstance(value, dict):
        raise _damaged(path, name, "it is not a JSON object")
    return cast("dict[str, Any]", value)


def _listed(names: list[str]) -> str:
    shown = ", ".join(short(name) for name in names[:LISTED_NAMES])
    rest = len(names) - LISTED_NAMES
    return f"{shown} and {rest} more" if rest > 0 else shown


def _damaged(path: Path, name: str, what: str) -> CheckpointError:
    return CheckpointError(f"`{path.name}`: its {name} is not usable: {what}. Download it again.")
