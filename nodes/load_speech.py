"""Node: loads speech of any length from a file."""

from comfy_api.latest import io

from .host.codecs.sound import audio_of, list_sound_files, load_sound, sound_file_fingerprint, sound_file_path
from .host.report.node import EverTalkNode
from .host.report.progress import warn_on_node


class EverTalkLoadSpeech(EverTalkNode):
    """An audio or video file -> AUDIO, which lies on the disk if it is long.

    The host's Load Audio decodes the whole file into memory and keeps it there: 1.3 GB an hour.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EverTalkLoadSpeech",
            display_name="EverTalk Load Speech",
            description="Loads speech of any length without filling the memory: what is longer than a few "
            "minutes is kept in ComfyUI's temp folder while it is used. For short clips Load Audio does as "
            "well.",
            inputs=[
                io.Combo.Input(
                    "audio",
                    options=list_sound_files(),
                    upload=io.UploadType.audio,
                    tooltip="An audio file, or a video whose sound is wanted, in ComfyUI's input folder.",
                )
            ],
            outputs=[io.Audio.Output("audio_out", display_name="audio")],
        )

    @classmethod
    def fingerprint_inputs(cls, audio: str | None = None) -> str:
        """Changes with the file; a name that comes over a link is not known yet."""
        return "" if audio is None else sound_file_fingerprint(audio)

    @classmethod
    def validate_inputs(cls, audio: str | None = None) -> None:
        """Refuses a file that is not there when the prompt is queued; with a link, when the node runs."""
        if audio is not None:
            sound_file_path(audio)

    @classmethod
    def execute(cls, audio: str) -> io.NodeOutput:
        sound = load_sound(audio)
        for note in sound.notes:
            warn_on_node(note)
        return io.NodeOutput(audio_of(sound))
