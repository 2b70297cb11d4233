"""The first clip of a run of SkyReels' windows: made once, kept in the run's folder, found there again.

Shape letters: H and W pixels, C channels.
"""

from dataclasses import replace

import torch

from ....multitalk.runs.first_clip_file import FirstClipFile
from ....multitalk.runs.store import RunStore
from ....multitalk.windows.ending import Ending
from ....multitalk.windows.loop import RunSpec, SamplingBackend
from ....multitalk.windows.plan import Window
from ....multitalk.windows.skyreels import FirstClip, make_first_clip, stills_of


class RunClip:
    """What the windows of a run end on.

    Args:
        clip: the run's first clip, or None.
        store: where it is kept; None keeps its frames in memory.

    Raises:
        RunStoreError: the run's folder cannot be used.
    """

    def __init__(self, clip: FirstClip | None, store: RunStore | None) -> None:
        self._clip, self._store = clip, store
        self._kept: FirstClipFile | torch.Tensor | None = None
        if clip is not None and store is not None:
            self._kept = store.first_clip(clip.wanted)

    @property
    def is_to_make(self) -> bool:
        """Whether there is a clip, and it is not kept."""
        return self._clip is not None and self._kept is None

    def ended(self, spec: RunSpec, sampling_backend: SamplingBackend) -> RunSpec:
        """The run, its windows ending on the clip's stills but where it has an ending of its own.

        The clip is made when the first window asks for its ending.
        """
        if self._clip is None:
            return spec
        clip = self._clip

        def still(frame: int) -> torch.Tensor:
            if self._kept is None:
                self._kept = self._made(clip, spec, sampling_backend)
            return self._kept(frame) if isinstance(self._kept, FirstClipFile) else self._kept[frame]

        stills = stills_of(clip, still)

        def ending(window: Window) -> Ending:
            return spec.ending(window) or stills(window)

        return replace(spec, ending=ending)

    def _made(
        self, clip: FirstClip, spec: RunSpec, sampling_backend: SamplingBackend
    ) -> FirstClipFile | torch.Tensor:
        clip_FHWC = make_first_clip(clip, spec, sampling_backend)
        return clip_FHWC if self._store is None else self._store.keep_first_clip(clip.wanted, clip_FHWC)
