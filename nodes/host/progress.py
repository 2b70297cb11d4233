"""What a run shows while it works: the bar, a line of text on the node, previews, and the log."""

import logging
import time

import torch
from comfy.model_patcher import ModelPatcher
from comfy.utils import ProgressBar
from comfy_execution.utils import get_executing_context
from latent_preview import get_previewer

LOG = logging.getLogger("evertalk")
PREVIEW_FORMAT = "JPEG"


def show_on_node(text: str) -> None:
    """Show a line of text on the node that is running, and in the log."""
    LOG.info("%s", text)
    context = get_executing_context()
    if context is not None:
        # Not at the top: the server drags in its database and frontend; where a node executes, it is there.
        from server import PromptServer  # noqa: PLC0415

        PromptServer.instance.send_progress_text(text, context.node_id)


class RunProgress:
    """Progress over all windows of a run.

    Args:
        model: for the kind of previews the user chose.
        num_windows: windows of the run.
        num_steps: steps of a window.
        note: a few words that belong behind the step, for instance that the steps are fixed.
    """

    def __init__(self, model: ModelPatcher, num_windows: int, num_steps: int, note: str = "") -> None:
        self._bar = ProgressBar(num_windows * num_steps)
        self._previewer = get_previewer(model.load_device, model.model.latent_format)
        self._num_windows = num_windows
        self._num_steps = num_steps
        self._note = f" ({note})" if note else ""
        self._started_s = time.monotonic()

    def step(self, window_index: int, steps_done: int, denoised_BCTHW: torch.Tensor | None) -> None:
        """A step of a window is done; `denoised_BCTHW` is what the preview shows."""
        done = window_index * self._num_steps + steps_done
        preview = None
        if self._previewer is not None and denoised_BCTHW is not None:
            preview = self._previewer.decode_latent_to_preview_image(PREVIEW_FORMAT, denoised_BCTHW)
        self._bar.update_absolute(done, preview=preview)
        window = f"Window {window_index + 1} of {self._num_windows}"
        text = f"{window}, step {steps_done}/{self._num_steps}{self._note}"
        show_on_node(f"{text}, {self._seconds_left(done):.0f} s left" if done else text)

    def _seconds_left(self, done: int) -> float:
        elapsed_s = time.monotonic() - self._started_s
        return elapsed_s / done * (self._num_windows * self._num_steps - done)
