"""The apply node: audio weights on any Wan 2.1 I2V MODEL."""

from typing import Any

from comfy_api.latest import io

from .host.model.lora import patch_warnings
from .host.model.patcher import attachment_of
from .host.model.talking_model import TalkChoice, apply_choice, check_files, file_stamps
from .host.report.node import EverTalkNode
from .host.report.progress import show_on_node, warn_on_node
from .host.report.widgets import check_widgets
from .host.server.header_checks import off_the_loop
from .talk_widgets import late_widgets, talk_widgets, without_file


class EverTalkApply(EverTalkNode):
    """Puts audio weights on a MODEL from any loader."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Sockets, widgets and tooltips."""
        return io.Schema(
            node_id="EverTalkApply",
            display_name="EverTalk Apply",
            description="Adds InfiniteTalk or MultiTalk audio weights to a Wan 2.1 I2V model from any "
            "loader: ComfyUI's, GGUF, with LoRA. The model given stays as it is.",
            inputs=[
                io.Model.Input("model", tooltip="Wan 2.1 I2V 14B, from any loader, LoRA included."),
                *talk_widgets(),
                *late_widgets(),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="For EverTalk Sampler.")],
        )

    @classmethod
    async def validate_inputs(cls, talk_model: str | None = None, mode: str | None = None) -> None:
        """Refuse a file that is missing or cannot be used when the prompt is queued, before anything runs.

        A name that comes over a link is not known yet; it is checked when the node runs.
        """
        await off_the_loop("talk_model", lambda: check_files(None, talk_model, mode=mode))

    @classmethod
    def fingerprint_inputs(cls, talk_model: str | None = None, **_: Any) -> object:
        """Load again when the file changed on disk."""
        return file_stamps(None, talk_model)

    @classmethod
    def execute(cls, model: io.Model.Type, **talk: Any) -> io.NodeOutput:
        """Check the file, load it, and show what was done."""
        check_widgets(cls, without_file(talk))
        patched = apply_choice(model, TalkChoice.of(talk))
        for warning in (*attachment_of(patched).warnings, *patch_warnings(patched)):
            warn_on_node(warning)
        show_on_node("; ".join(attachment_of(patched).notes))
        return io.NodeOutput(patched)
