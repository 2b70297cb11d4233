"""Node: encodes one voice for the sampler."""

from comfy_api.latest import io

from ..multitalk.speech_embeds import encode_voices
from .host.sound import audio_of, waveform_of
from .host.speech import SpeechEncoderModel
from .sockets import AudioEmbedsSocket, SpeechEncoderSocket


class EverTalkAudioEmbeds(io.ComfyNode):
    """AUDIO of one speaker -> audio embeds, the sound for the video, and its length in frames."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EverTalkAudioEmbeds",
            display_name="EverTalk Audio Embeds",
            category="EverTalk",
            description="Encodes the speech of one person. The video lasts as long as the sound, at 25 "
            "frames a second.",
            inputs=[
                SpeechEncoderSocket.Input(
                    "audio_encoder",
                    lazy=True,
                    tooltip="From EverTalk Audio Encoder Loader; loaded once the sound was found usable.",
                ),
                io.Audio.Input(
                    "audio",
                    tooltip="The speech: any sample rate, channels and length; one clip, no batch.",
                ),
                io.Boolean.Input(
                    "loudness",
                    default=True,
                    tooltip="Normalize to -23 LUFS for the encoder, as the weights were trained; the muxed "
                    "sound is untouched. Silence and less than 0.4 s are left as they are.",
                ),
            ],
            outputs=[
                AudioEmbedsSocket.Output("audio_embeds", display_name="audio_embeds"),
                io.Audio.Output("audio_out", display_name="audio"),
                io.Int.Output("frames", display_name="frames"),
            ],
        )

    @classmethod
    def check_lazy_status(
        cls,
        audio: io.Audio.Type | None,
        loudness: bool,
        audio_encoder: SpeechEncoderModel | None = None,
    ) -> list[str]:
        """Refuses a bad sound before the encoder's weights load; the host then asks for the encoder."""
        del loudness
        waveform_of(audio)
        return ["audio_encoder"] if audio_encoder is None else []

    @classmethod
    def execute(
        cls, audio_encoder: SpeechEncoderModel, audio: io.Audio.Type, loudness: bool
    ) -> io.NodeOutput:
        sound = waveform_of(audio)
        embeds = encode_voices(audio_encoder, (sound,), sound, normalise=loudness)
        return io.NodeOutput(embeds, audio_of(embeds.sound), embeds.video_frames)
