"""The step cache node: leaves out steps that change little."""

from typing import cast

from comfy_api.latest import io

from ..wanvideo.step_cache import COEFFICIENTS, FIRST_STEPS, FittedSize, StepCacheSettings
from .host.model.patcher import with_step_cache
from .host.report.node import EverTalkNode
from .host.report.widgets import check_widgets

THRESHOLD = 0.2
MAX_THRESHOLD = 2.0
MAX_STEPS = 1000


class EverTalkStepCache(EverTalkNode):
    """TeaCache on a MODEL that can speak."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Widgets, defaults and tooltips."""
        return io.Schema(
            node_id="EverTalkStepCache",
            display_name="EverTalk Step Cache",
            description="TeaCache: leaves out steps in which the model's answer would change little. For "
            "runs of 20 steps and more; with distilled LoRAs of 4 to 8 steps there is nothing to leave out. "
            "The pictures change slightly.",
            inputs=[
                io.Model.Input("model", tooltip="From EverTalk Model Loader or EverTalk Apply."),
                io.Float.Input(
                    "threshold",
                    default=THRESHOLD,
                    min=0.0,
                    max=MAX_THRESHOLD,
                    step=0.05,
                    tooltip="How much guessed change may add up before a step is computed again: 0.2 is "
                    "careful, 0.5 fast and visibly worse, 0 leaves nothing out.",
                ),
                io.Combo.Input(
                    "fitted_to",
                    options=list(COEFFICIENTS),
                    tooltip="Which base model is loaded: the guess was fitted to each of them.",
                ),
                io.Int.Input(
                    "first_steps",
                    default=FIRST_STEPS,
                    min=1,
                    max=MAX_STEPS,
                    tooltip="Steps from the beginning that are always computed; they decide the picture.",
                ),
                io.Int.Input(
                    "last_steps",
                    default=0,
                    min=0,
                    max=MAX_STEPS,
                    tooltip="Steps at the end that are always computed.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="For EverTalk Sampler.")],
        )

    @classmethod
    def execute(
        cls, model: io.Model.Type, threshold: float, fitted_to: str, first_steps: int, last_steps: int
    ) -> io.NodeOutput:
        """Put the settings on a clone of the MODEL."""
        check_widgets(cls, {"fitted_to": fitted_to, "threshold": threshold})
        coefficients = COEFFICIENTS[cast("FittedSize", fitted_to)]
        settings = StepCacheSettings(threshold, coefficients, first_steps, last_steps)
        return io.NodeOutput(with_step_cache(model, settings))
