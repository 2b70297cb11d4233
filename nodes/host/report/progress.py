"""What a run shows while it works: the bar, a line of text on the node, previews, and the log."""

import logging
import time
from dataclasses import replace

import torch
from comfy.model_patcher import ModelPatcher
from comfy.utils import ProgressBar
from comfy_execution.utils import get_executing_context
from latent_preview import get_previewer

from ....attention.plain_text import plain
from ....multitalk.windows.plan import FIRST_CLIP
from .events import NodeEvents, RunEvent, send_event
from .record import note_warning

LOG = logging.getLogger("evertalk")
PREVIEW_FORMAT = "JPEG"


def show_on_node(text: str) -> None:
    """Show a line of text on the node that is running, and in the log, as plain text."""
    text = plain(text)
    LOG.info("%s", text)
    context = get_executing_context()
    if context is not None:
        # Not at the top: the server drags in its database and frontend; where a node executes, it is there.
        from server import PromptServer  # noqa: PLC0415

        PromptServer.instance.send_progress_text(text, context.node_id)


def warn_on_node(text: str) -> None:
    """Show a line of text that must not be missed: it also stays on the node as a badge."""
    show_on_node(text)
    note_warning(text)
    send_event(RunEvent("warning", text=text))


class RunProgress:
    """Progress over all windows of a run.

    Args:
        model: for the kind of previews the user chose.
        num_windows: windows of the run.
        num_steps: steps of a window.
        note: a few words that belong after the step, for instance that the steps are fixed.
        first: the window that is begun with; those before were finished by an earlier run.
        makes_clip: a first clip is made before that.
    """

    def __init__(
        self,
        model: ModelPatcher,
        num_windows: int,
        num_steps: int,
        note: str = "",
        first: int = 0,
        *,
        makes_clip: bool = False,
    ) -> None:
        self._clip_steps = num_steps if makes_clip else 0
        self._bar = ProgressBar(num_windows * num_steps + self._clip_steps)
        self._previewer = get_previewer(model.load_device, model.model.latent_format)
        self._num_windows = num_windows
        self._num_steps = num_steps
        self._note = f" ({note})" if note else ""
        self._first = first
        self._started_s = time.monotonic()
        self._seed: int | None = None
        self._events = NodeEvents()

    def plan(self, summary: str, seed: int) -> None:
        """The run begins; `summary` says what will run, `seed` is its noise's."""
        show_on_node(summary)
        self._seed = seed
        self._send(RunEvent("plan", window=self._first, text=summary))

    def step(self, window_index: int, steps_done: int, denoised_BCTHW: torch.Tensor | None) -> None:
        """A step of a window, or of the first clip, is done; `denoised_BCTHW` is what the preview shows."""
        is_clip = window_index == FIRST_CLIP
        # The clip counts as done before the windows that an earlier run finished.
        done = steps_done if is_clip else self._clip_steps + window_index * self._num_steps + steps_done
        preview = None
        if self._previewer is not None and denoised_BCTHW is not None:
            preview = self._previewer.decode_latent_to_preview_image(PREVIEW_FORMAT, denoised_BCTHW)
        self._bar.update_absolute(done, preview=preview)
        window = "The first clip" if is_clip else f"Window {window_index + 1} of {self._num_windows}"
        text = f"{window}, step {steps_done}/{self._num_steps}{self._note}"
        left_s = self._seconds_left(steps_done if is_clip else done - self._first * self._num_steps)
        show_on_node(text if left_s is None else f"{text}, {left_s:.0f} s left")
        # To the strip the clip is part of the window that waits for it.
        index = self._first if is_clip else window_index
        self._send(RunEvent("step", window=index, step=steps_done, seconds_left=left_s))

    def _send(self, event: RunEvent) -> None:
        told = replace(event, windows=self._num_windows, steps=self._num_steps, seed=self._seed)
        self._events.send(told)

    def _seconds_left(self, done_now: int) -> float | None:
        elapsed_s = time.monotonic() - self._started_s
        to_do = self._clip_steps + (self._num_windows - self._first) * self._num_steps
        return elapsed_s / done_now * (to_do - done_now) if done_now > 0 else None
