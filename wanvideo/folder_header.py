"""The headers of a model folder's files as one: what would be read of them, were they one file."""

import json
from pathlib import Path

from .errors import CheckpointError
from .header import CheckpointHeader, TensorInfo
from .header_limits import MAX_TENSORS, short
from .model_folder import ModelFolder, check_index, check_sizes, counts_index, open_folder
from .quantised_layers import REMARKS, metadata_remarks
from .safetensors_header import read_safetensors_header


def read_folder_header(path: Path) -> CheckpointHeader:
    """The names, types, shapes and remarks in the model folder at `path`, without loading a tensor.

    Raises:
        CheckpointError: the folder is not whole, a file is damaged, two hold the same weight, or they do not
            agree with the index or the config.
        OSError: something of it cannot be read.
    """
    folder = open_folder(path)
    headers = [read_safetensors_header(shard) for shard in folder.shards]
    header = CheckpointHeader(
        path.name,
        _joined(path, headers),
        joined_metadata(headers),
        {name: remark for one in headers for name, remark in one.remarks.items()},
        config=folder.config,
    )
    if counts_index(folder.config):
        check_index(path, {one.file_name: one.tensors for one in headers})
    _check_sizes(path, folder, header)
    return header


def joined_metadata(headers: list[CheckpointHeader]) -> dict[str, str]:
    """The files' own remarks; those on quantised layers together."""
    joined = {name: text for one in headers for name, text in one.metadata.items()}
    layers = {name: remark for one in headers for name, remark in metadata_remarks(one.metadata).items()}
    if layers:
        joined[REMARKS] = json.dumps({"layers": layers})
    return joined


def _joined(path: Path, headers: list[CheckpointHeader]) -> dict[str, TensorInfo]:
    tensors: dict[str, TensorInfo] = {}
    for header in headers:
        twice = next((name for name in header.tensors if name in tensors), None)
        if twice is not None:
            raise CheckpointError(
                f"`{path.name}` holds {short(twice)} in more than one of its files, {header.file_name} among "
                "them. Leave the files of one model in the folder, and move the others away."
            )
        tensors.update(header.tensors)
    if len(tensors) > MAX_TENSORS:
        raise CheckpointError(f"`{path.name}` names {len(tensors)} tensors, more than {MAX_TENSORS}.")
    return tensors


def _check_sizes(path: Path, folder: ModelFolder, header: CheckpointHeader) -> None:
    """Compare what both the config and the shapes say; no Wan transformer: it is refused by its kind."""
    tensors = header.tensors
    patch, first = tensors.get("patch_embedding.weight"), tensors.get("blocks.0.ffn.0.weight")
    if patch is None or first is None or len(patch.shape) < 2 or len(first.shape) < 2:
        return
    depth = {name.split(".")[1] for name in tensors if name.startswith("blocks.")}
    dim, in_dim = patch.shape[:2]
    found = {"dim": dim, "in_dim": in_dim, "ffn_dim": first.shape[0], "num_layers": len(depth)}
    check_sizes(path, folder.config, found)
