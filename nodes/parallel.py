"""The node that splits every window over the GPUs of this machine."""

from comfy_api.latest import io

from .host.parallel.choice import TEAMS, with_gpus
from .host.parallel.machine import ALONE, CHOICES, check_count, this_machine
from .host.report.node import EverTalkNode, check_fetched
from .host.report.progress import show_on_node
from .host.report.widgets import check_widgets
from .host.run.posted_gpus import check_posted_gpus


class EverTalkParallel(EverTalkNode):
    """Splits every window of a MODEL over several GPUs."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Socket, widget, default and tooltips."""
        return io.Schema(
            node_id="EverTalkParallel",
            display_name="EverTalk Parallel",
            description="Makes one video with several GPUs of this machine: each computes a part of every "
            "window. For NVIDIA GPUs on Linux, which are best connected by NVLink. Each GPU holds all the "
            "weights. For many videos at once, one GPU a video is more efficient: see cluster/.",
            inputs=[
                io.Model.Input("model", lazy=True, tooltip="From EverTalk Model Loader or EverTalk Apply."),
                io.Combo.Input(
                    "gpus",
                    options=list(CHOICES),
                    tooltip="How many GPUs work on a window together. auto takes as many of this machine's "
                    "as can share the model's attention heads evenly; Wan 2.1 14B has 40, which 2, 4, 5 and "
                    "8 divide. 1 passes the MODEL on as it is.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="For EverTalk Sampler.")],
        )

    @classmethod
    def validate_inputs(cls, gpus: str | None = None) -> None:
        """Refuse, when the workflow is queued, what this machine cannot do."""
        if gpus is not None and gpus != ALONE and gpus in CHOICES:
            check_count(gpus, this_machine())

    @classmethod
    def check_lazy_status(cls, gpus: str, model: io.Model.Type | None = None) -> list[str]:
        """Refuse a number that does not go with the model that the loader names, before its weights load.

        While they do, the processes for the other GPUs start.
        """
        check_widgets(cls, {"gpus": gpus})
        if model is not None:
            return []
        size = None if gpus == ALONE else check_posted_gpus(gpus)
        if size is not None:
            TEAMS.expect(size)
        return ["model"]

    @classmethod
    def execute(cls, model: io.Model.Type, gpus: str) -> io.NodeOutput:
        """Put the number on a clone of the MODEL."""
        check_fetched(cls, model=model)
        patched, note = with_gpus(model, gpus)
        show_on_node(note)
        return io.NodeOutput(patched)
