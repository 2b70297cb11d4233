"""The values that travel between nodes and along the window loop: frozen, documented, checked once.

Shape letters: S speakers, F video frames, N video frames of a track with its silent tail, K frames of context
around a frame, L encoder layers, C channels, H and W pixels.
"""

from dataclasses import dataclass

import torch

FPS = 25
"""Video frames a second that the InfiniteTalk and MultiTalk weights were trained on."""

WINDOW_FRAMES = 81
"""Frames of one window that the weights were trained on; the most that is offered."""

MOTION_FRAMES = 9
"""Frames that an InfiniteTalk window takes over from the one before (the authors' default)."""

CONTEXT_FRAMES = 5
"""Encoder frames around each video frame that the projector sees: two before, itself, two after."""

TAIL_FRAMES = WINDOW_FRAMES + CONTEXT_FRAMES // 2
"""Frames of real silence encoded after a track, enough for any last window and its context."""


@dataclass(frozen=True, slots=True)
class Waveform:
    """Sound in memory.

    Attributes:
        samples_CT: float32 samples, (channels, time), on the CPU, nominally in -1..1.
        sample_rate_hz: samples a second.
    """

    samples_CT: torch.Tensor
    sample_rate_hz: int

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.samples_CT.shape[-1] / self.sample_rate_hz


@dataclass(frozen=True, slots=True)
class AudioEmbeds:
    """Encoded speech, ready for the sampler.

    Attributes:
        tracks_NLC: one tensor a speaker, (video_frames + TAIL_FRAMES, encoder layers, channels), float32 on
            the CPU. The tail is encoded silence.
        video_frames: length of the video: round(FPS * seconds of the audio).
        sound: the sound as it is muxed into the file; with several voices, their mix.
        masks_SHW: one mask a speaker over the start image, (speakers, height, width), 1 inside, or None: one
            speaker, or the default places for two.
    """

    tracks_NLC: tuple[torch.Tensor, ...]
    video_frames: int
    sound: Waveform
    masks_SHW: torch.Tensor | None = None

    def __post_init__(self) -> None:
        assert self.tracks_NLC, "at least one speaker"
        for track_NLC in self.tracks_NLC:
            assert track_NLC.ndim == 3, f"(frames, layers, channels), not {tuple(track_NLC.shape)}"
            assert track_NLC.shape[0] == self.video_frames + TAIL_FRAMES, "video frames and the silent tail"
