"""Speech encoders as files of the host, in the host's memory management."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import comfy.model_management
import comfy.ops
import comfy.utils
import folder_paths
import torch
from comfy.model_patcher import ModelPatcher
from safetensors import SafetensorError

from ....multitalk.common.errors import ModelFileError
from ....multitalk.common.types import Waveform
from ....multitalk.speech.checkpoint import check_names, speech_encoder_from
from ....multitalk.speech.chunks import EncodeContext, encode_in_chunks, encoding_bytes
from ....multitalk.speech.config import SpeechEncoderConfig
from ....multitalk.speech.embeds import TrackContent
from ....multitalk.speech.waveform import SPEECH_RATE_HZ
from ....wanvideo.checkpoint import read_header
from ..compat.patchers import new_patcher
from ..compat.precision import note_precision
from ..model.files import with_label
from .kept import KEPT, SPEECH, encoder_of

FOLDERS = ("audio_encoders", "wav2vec2")
"""The host's own folder for audio encoders, and the one that other packs taught people to use."""

SUFFIX = ".safetensors"

folder_paths.add_model_folder_path("wav2vec2", str(Path(folder_paths.models_dir) / "wav2vec2"))


@dataclass(frozen=True, slots=True, eq=False)
class SpeechEncoderModel:
    """A loaded speech encoder.

    Attributes:
        patcher: the host's handle of it (a multitalk.speech.encoder.SpeechEncoder).
        config: its sizes and style.
        file_name: where it came from, for messages.
    """

    patcher: ModelPatcher
    config: SpeechEncoderConfig
    file_name: str

    def encode(
        self, speech: Waveform, num_frames: int, stats_samples: int, folder: Path | None
    ) -> Iterator[torch.Tensor]:
        """See multitalk.speech.embeds.EncodesSpeech."""
        assert speech.sample_rate_hz == SPEECH_RATE_HZ, f"{speech.sample_rate_hz} Hz"
        comfy.model_management.load_models_gpu(
            [self.patcher], memory_required=encoding_bytes(self.config, num_frames)
        )
        check = comfy.model_management.throw_exception_if_processing_interrupted
        context = EncodeContext(self.patcher.load_device, folder, check)
        return encode_in_chunks(self.patcher.model, speech.samples_CT[0], num_frames, stats_samples, context)

    def recall(self, content: TrackContent, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        """See multitalk.speech.embeds.RecallTrack."""
        config = self.config
        size = content.video_frames * config.num_layers * config.dim * torch.float32.itemsize
        # An hour's sound is not read once more for what would not be kept.
        encoder = encoder_of(self.patcher) if KEPT.has_room_for(size) else None
        return KEPT.recall(encoder, content, make, SPEECH, shared=True)


def speech_encoder_names() -> list[str]:
    """The .safetensors files in FOLDERS, each name once."""
    names = {name for folder in FOLDERS for name in folder_paths.get_filename_list(folder)}
    return sorted(name for name in names if name.lower().endswith(SUFFIX))


def speech_encoder_path(name: str) -> Path:
    """Where the file `name` lies.

    Raises:
        ModelFileError: it is not a .safetensors file, or in none of FOLDERS.
    """
    if not name.lower().endswith(SUFFIX):
        raise ModelFileError(
            f"encoder: {name} is not a .safetensors file; pickle files (.bin, .pt, .pth, .ckpt) can run code "
            "when they are opened and are never loaded: convert it, or download it as .safetensors"
        )
    for folder in FOLDERS:
        path = folder_paths.get_full_path(folder, name)
        if path is not None:
            return Path(path)
    raise ModelFileError(
        f"encoder: {name} is neither in models/audio_encoders nor in models/wav2vec2; put the file there and "
        "reload the page, or choose another"
    )


def check_speech_encoder(path: Path) -> None:
    """Refuse a file that is not a speech encoder by its header, in milliseconds, before a run starts.

    Raises:
        ModelFileError: the file is damaged, or no wav2vec2.
    """
    header = with_label("encoder", lambda: read_header(path))
    check_names(header.tensors.keys(), f"encoder: {path.name}")


def load_speech_encoder(path: Path) -> SpeechEncoderModel:
    """Loads a wav2vec2 checkpoint; the weights stay in memory's offload place until they are needed.

    Encoding is a matter of seconds, once a clip, and its result steers the whole video: it runs in float32.

    Raises:
        ModelFileError: the file is damaged, or no wav2vec2.
    """
    try:
        weights, metadata = comfy.utils.load_torch_file(str(path), safe_load=True, return_metadata=True)
    except (ValueError, OSError, SafetensorError) as error:
        raise _unreadable(path, error) from error
    heads = (metadata or {}).get("num_attention_heads", "")
    model = speech_encoder_from(
        weights,
        f"encoder: {path.name}",
        operations=comfy.ops.manual_cast,
        device=comfy.model_management.text_encoder_offload_device(),
        num_heads=int(heads) if heads.isdecimal() else None,
    )
    note_precision(model)
    patcher = new_patcher(
        model,
        comfy.model_management.text_encoder_device(),
        comfy.model_management.text_encoder_offload_device(),
    )
    return SpeechEncoderModel(patcher, model.config, path.name)


def _unreadable(path: Path, error: Exception) -> ModelFileError:
    reason = str(error).split("\n", maxsplit=1)[0]
    return ModelFileError(
        f"encoder: {path.name} cannot be read as a .safetensors file ({reason}); it is damaged or was not "
        "downloaded completely: download it again"
    )
