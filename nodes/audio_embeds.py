"""Node: encodes voices for the sampler."""

from comfy_api.latest import io

from ..multitalk.common.errors import InputError
from ..multitalk.common.types import Speakers
from ..multitalk.speech.embeds import encode_voices, one_speaker
from .host.codecs import soundtrack as soundtracks
from .host.codecs.hearing import HEARING, TOOLTIP, WHOLE, check_hearing
from .host.codecs.sound import audio_of, temp_folder, waveform_of
from .host.codecs.speech import SpeechEncoderModel
from .host.model.weights_identity import weights_identity
from .host.report.node import EverTalkNode, check_fetched
from .host.report.progress import warn_on_node
from .host.report.widgets import check_widgets
from .sockets import AudioEmbedsSocket, SpeakersSocket, SpeechEncoderSocket


class EverTalkAudioEmbeds(EverTalkNode):
    """AUDIO of one speaker, or speakers -> audio embeds, the video's sound, and its length in frames."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EverTalkAudioEmbeds",
            display_name="EverTalk Audio Embeds",
            description="Encodes the speech of one person (audio) or of several (speakers). The video lasts "
            "as long as the sound, at 25 frames a second.",
            inputs=[
                SpeechEncoderSocket.Input(
                    "audio_encoder",
                    lazy=True,
                    tooltip="From EverTalk Audio Encoder Loader; loaded once the sound was found usable.",
                ),
                io.Audio.Input(
                    "audio",
                    optional=True,
                    tooltip="The speech of one person: any sample rate, channels and length; one clip, no "
                    "batch.",
                ),
                io.Boolean.Input(
                    "loudness",
                    default=True,
                    tooltip="Normalize to -23 LUFS for the encoder, as the weights were trained; the muxed "
                    "sound is untouched. Silence and less than 0.4 s are left as they are.",
                ),
                SpeakersSocket.Input(
                    "speakers",
                    optional=True,
                    tooltip="Instead of audio: several voices, from EverTalk Speakers.",
                ),
                io.Combo.Input(
                    "hearing",
                    options=list(HEARING),
                    default=WHOLE,
                    optional=True,
                    tooltip=TOOLTIP,
                ),
                io.Audio.Input(soundtracks.NAME, optional=True, tooltip=soundtracks.TOOLTIP),
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
        loudness: bool,
        audio: io.Audio.Type | None = None,
        speakers: SpeakersSocket.Type | None = None,
        audio_encoder: SpeechEncoderModel | None = None,
        hearing: str = WHOLE,
        soundtrack: io.Audio.Type | None = soundtracks.NOT_CONNECTED,
    ) -> list[str]:
        """Refuses a bad sound before the encoder's weights load; the host then asks for the encoder."""
        del loudness
        check_widgets(cls, {"hearing": hearing})
        check_hearing(hearing, chosen_speakers(audio, speakers))
        soundtracks.chosen_soundtrack(soundtrack)
        return ["audio_encoder"] if audio_encoder is None else []

    @classmethod
    def execute(
        cls,
        audio_encoder: SpeechEncoderModel,
        loudness: bool,
        audio: io.Audio.Type | None = None,
        speakers: SpeakersSocket.Type | None = None,
        hearing: str = WHOLE,
        soundtrack: io.Audio.Type | None = soundtracks.NOT_CONNECTED,
    ) -> io.NodeOutput:
        check_fetched(cls, audio_encoder=audio_encoder)
        chosen, maker = chosen_speakers(audio, speakers), weights_identity(audio_encoder.patcher)
        if speakers is None:  # EverTalk Speakers says itself what it has to say
            for note in chosen.notes:
                warn_on_node(note)
        check_hearing(hearing, chosen)
        heard = soundtracks.chosen_soundtrack(soundtrack)
        encoded = encode_voices(
            audio_encoder,
            chosen,
            normalise=loudness,
            maker=maker,
            folder=temp_folder(),
            live=HEARING[hearing],
            recall=audio_encoder.recall,
        )
        embeds = soundtracks.with_soundtrack(encoded, chosen.sound, heard)
        return io.NodeOutput(embeds, audio_of(embeds.sound), embeds.video_frames)


def chosen_speakers(audio: io.Audio.Type | None, speakers: Speakers | None) -> Speakers:
    """The speakers of whichever socket is connected.

    Raises:
        InputError: none or both are, or the sound cannot be spoken.
    """
    if speakers is None and audio is None:
        raise InputError(
            "audio: there is no sound; connect Load Audio to audio, or EverTalk Speakers to speakers"
        )
    if speakers is None:
        return one_speaker(waveform_of(audio))
    if audio is not None:
        raise InputError(
            "audio: both audio and speakers are connected, and they may contradict; disconnect audio, or "
            "connect it to EverTalk Speakers"
        )
    return speakers
