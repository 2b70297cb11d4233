"""The values that travel between nodes and along the window loop: frozen, documented, checked once.

Shape letters: S speakers, F video frames, N video frames of a track with its silent tail, K frames of context
around a frame, L encoder layers, C channels, H and W pixels.
"""

from dataclasses import dataclass

import torch

from .mask_places import Place

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
        notes: sentences for the user on what was done to it.
    """

    samples_CT: torch.Tensor
    sample_rate_hz: int
    notes: tuple[str, ...] = ()

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.samples_CT.shape[-1] / self.sample_rate_hz


@dataclass(frozen=True, slots=True)
class Speakers:
    """Who speaks when, and where they are in the picture.

    Attributes:
        names: of the speakers: A, B, ...
        voices: one sound a speaker on the video's timeline, silent where they do not speak.
        sound: what is heard in the video.
        places: one a speaker, over the start image; none: one speaker, or the left and right halves for two.
        notes: sentences for the user.
    """

    names: tuple[str, ...]
    voices: tuple[Waveform, ...]
    sound: Waveform
    places: tuple[Place, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert self.voices, "at least one speaker"
        assert len(self.names) == len(self.voices), "a name a speaker"
        assert len(self.places) in {0, len(self.voices)}, "a place a speaker, or none at all"


@dataclass(frozen=True, slots=True)
class VoiceMarks:
    """What each voice says in each video frame, as marks by which two runs are compared; see mark_voices.

    Attributes:
        maker: stands for the encoder and its settings.
        marks_SFD: (speakers, video_frames, bytes of a mark), uint8.
    """

    maker: str
    marks_SFD: torch.Tensor


@dataclass(frozen=True, slots=True)
class LiveForm:
    """The windows that speech was heard for while it was being made, see multitalk/speech/live.py.

    Attributes:
        window_frames: frames of a window.
        motion_frames: frames that it shares with the one before.
    """

    window_frames: int
    motion_frames: int

    @property
    def chunk_frames(self) -> int:
        """Frames from one window to the next."""
        return self.window_frames - self.motion_frames

    @property
    def kept_frames(self) -> int:
        """Features that a window keeps: its own, and those before that its first frame's context reaches."""
        return self.window_frames + CONTEXT_FRAMES // 2

    def windows_in(self, video_frames: int) -> int:
        """How many windows a video takes."""
        return -(-video_frames // self.chunk_frames)
