"""Errors that a person can act on.

    EverTalkError (PlainError, a ValueError)
    |-- InputError        a socket or a widget holds something that cannot be used
    |-- ModelFileError    a model file is missing, damaged, or of another kind than its place asks for
    |-- ResultError       the decode node got something that is not a sampler result
    |-- RunStoreError     the folder that keeps a run's finished windows cannot be used
    `-- MachineError      the GPU or the computer's memory failed in the middle of a run
        `-- WorkerError   a process on another GPU failed, hung or was ended

Each message says what was wrong, what came, what was expected and what to do, and can always be encoded,
logged and sent (attention/plain_text.py).
"""

from ...attention.errors import PlainError

WINDOWS_KEPT = "The windows that were finished are kept: queue the workflow again and the run goes on"
"""The last sentence of what ends a run whose windows are on the disk."""


class EverTalkError(PlainError):
    """Base of all errors that EverTalk raises for a mistake outside its own code."""


class InputError(EverTalkError):
    """A socket or a widget holds something that cannot be used; the message begins with its name."""


class ModelFileError(EverTalkError):
    """A model file is missing, damaged, or of another kind than its place asks for."""


class ResultError(EverTalkError):
    """The decode node was given something that is not a sampler result."""


class RunStoreError(EverTalkError):
    """The folder that keeps a run's finished windows cannot be written, read, or is another program's."""


class MachineError(EverTalkError):
    """The GPU or the computer's memory failed; what was finished before is kept."""


class WorkerError(MachineError):
    """A process that computes a part of each window on another GPU failed, hung or was ended."""


def reason_of(error: Exception) -> str:
    """What the system or FFmpeg says of a file, without the number of the error and the file's path."""
    return str(getattr(error, "strerror", None) or error)
