"""The pack's own socket types: one for each value that ComfyUI has no socket for."""

from comfy_api.latest import io

from ..multitalk.common.types import Speakers
from ..multitalk.dubbing.clip import DubSource
from ..multitalk.model.guidance import GuidanceSettings
from ..multitalk.speech.embeds import AudioEmbeds
from ..multitalk.windows.finish import LookSettings
from ..multitalk.windows.prompt_timeline import PromptTimeline
from .host.codecs.speech import SpeechEncoderModel


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


@io.comfytype(io_type="EVERTALK_GUIDANCE")
class GuidanceSocket(io.ComfyTypeIO):
    """How strongly text and audio pull."""

    Type = GuidanceSettings


@io.comfytype(io_type="EVERTALK_SCHEDULE")
class ScheduleSocket(io.ComfyTypeIO):
    """Prompts and start pictures over time."""

    Type = PromptTimeline


@io.comfytype(io_type="EVERTALK_LOOK")
class LookSocket(io.ComfyTypeIO):
    """How frames are finished, and how the camera moves."""

    Type = LookSettings


@io.comfytype(io_type="EVERTALK_SOURCE")
class VideoSourceSocket(io.ComfyTypeIO):
    """A clip that is given other speech."""

    Type = DubSource
