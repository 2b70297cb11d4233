"""The schedule node: prompts and start pictures over time."""

from typing import Any

from comfy_api.latest import io

from ..multitalk.windows.prompt_timeline import PromptTimeline
from .host.report.node import EverTalkNode
from .host.sampling.schedule import check_end_image, check_texts, encoded_prompts, scheduled_pictures
from .sockets import ScheduleSocket


class EverTalkSchedule(EverTalkNode):
    """Maps prompts and pictures to times; the sampler maps times to windows."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Sockets, widgets and tooltips."""
        return io.Schema(
            node_id="EverTalkSchedule",
            display_name="EverTalk Schedule",
            description="Prompts and start pictures that change while the video runs. A window (2.88 s with "
            "81 frames and 9 motion frames) uses what holds at its first new frame.",
            inputs=[
                io.String.Input(
                    "prompts",
                    default="",
                    multiline=True,
                    tooltip="From when each prompt holds: 0s: she smiles; 12.5s: she looks away; 1:05: she "
                    "waves. Separate by semicolons or new lines; write \\; for a semicolon in a prompt. "
                    "Empty: the sampler's positive holds throughout.",
                ),
                io.String.Input(
                    "picture_times",
                    default="",
                    tooltip="From when each picture holds, by its number in the batch: 0s: 1; 12.5s: 2. "
                    "Empty: the sampler's start_image holds throughout. InfiniteTalk only: windows of "
                    "MultiTalk see no picture after the first.",
                ),
                io.Clip.Input(
                    "clip",
                    optional=True,
                    lazy=True,
                    tooltip="The text encoder (umt5-xxl, type wan). Loaded only when there are prompts.",
                ),
                io.Image.Input(
                    "pictures",
                    optional=True,
                    tooltip="A batch of start pictures. Each is resized to cover the video's size, then cut "
                    "at the centre.",
                ),
                io.Image.Input(
                    "end_image",
                    optional=True,
                    tooltip="The picture that the video ends on, such as the start image for a return to its "
                    "pose: the last window is led to it. Resized and cut like pictures.",
                ),
            ],
            outputs=[ScheduleSocket.Output(display_name="schedule", tooltip="For EverTalk Sampler.")],
        )

    @classmethod
    def validate_inputs(cls, prompts: str = "", picture_times: str = "") -> None:
        """Point at the character that is wrong before anything runs; linked texts come later."""
        check_texts(prompts or "", picture_times or "")

    @classmethod
    def check_lazy_status(cls, prompts: str, picture_times: str, **inputs: Any) -> list[str]:
        """Refuse what is wrong before the text encoder loads, and load it only for prompts."""
        check_texts(prompts, picture_times)
        scheduled_pictures(inputs.get("pictures"), picture_times)
        check_end_image(inputs.get("end_image"))
        return ["clip"] if "clip" in inputs and inputs["clip"] is None and prompts.strip() else []

    @classmethod
    def execute(
        cls,
        prompts: str,
        picture_times: str,
        clip: io.Clip.Type | None = None,
        pictures: io.Image.Type | None = None,
        end_image: io.Image.Type | None = None,
    ) -> io.NodeOutput:
        """Encode each prompt once."""
        cues = scheduled_pictures(pictures, picture_times)
        check_end_image(end_image)
        return io.NodeOutput(PromptTimeline(encoded_prompts(clip, prompts), cues, end_image))
