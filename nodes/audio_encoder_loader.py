"""Node: loads the speech encoder."""

from comfy_api.latest import io

from .host.codecs.speech import (
    check_speech_encoder,
    load_speech_encoder,
    speech_encoder_names,
    speech_encoder_path,
)
from .host.model.files import file_stamp
from .host.report.node import EverTalkNode
from .host.server.header_checks import off_the_loop
from .sockets import SpeechEncoderSocket


class EverTalkAudioEncoderLoader(EverTalkNode):
    """A wav2vec2 file -> a speech encoder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EverTalkAudioEncoderLoader",
            display_name="EverTalk Audio Encoder Loader",
            description="Loads the wav2vec2 speech encoder that the talk model hears through.",
            inputs=[
                io.Combo.Input(
                    "encoder",
                    options=speech_encoder_names(),
                    tooltip="A wav2vec2 as .safetensors in models/audio_encoders or models/wav2vec2; "
                    "InfiniteTalk and MultiTalk were trained with chinese-wav2vec2-base.",
                )
            ],
            outputs=[SpeechEncoderSocket.Output("audio_encoder", display_name="audio_encoder")],
        )

    @classmethod
    async def validate_inputs(cls, encoder: str | None = None) -> None:
        """Refuses a file that cannot be used when the prompt is queued; with a link, when the node runs."""
        if encoder is not None:
            path = speech_encoder_path(encoder)
            await off_the_loop("encoder", lambda: check_speech_encoder(path))

    @classmethod
    def fingerprint_inputs(cls, encoder: str | None = None) -> object:
        """Load again when the file changed on disk; a name that comes over a link is not known yet."""
        return file_stamp(speech_encoder_path(encoder)) if encoder is not None else None

    @classmethod
    def execute(cls, encoder: str) -> io.NodeOutput:
        path = speech_encoder_path(encoder)
        check_speech_encoder(path)
        return io.NodeOutput(load_speech_encoder(path))
