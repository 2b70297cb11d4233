"""The pack's own socket types: one for each value that ComfyUI has no socket for."""

from comfy_api.latest import io

from ..multitalk.types import AudioEmbeds, Speakers
from .host.speech import SpeechEncoderModel


@io.comfytype(io_type="EVERTALK_SPEECH_ENCODER")
class SpeechEncoderSocket(io.ComfyTypeIO):
    """A loaded speech encoder."""

    Type = SpeechEncoderModel


@io.comfytype(io_type="EVERTALK_SPEAKERS")
class SpeakersSocket(io.ComfyTypeIO):
    """Several voices, and where their speakers are."""

    Type = Speakers


@io.comfytype(io_type="EVERTALK_AUDIO_EMBEDS")
class AudioEmbedsSocket(io.ComfyTypeIO):
    """Encoded speech of one or more speakers."""

    Type = AudioEmbeds
