"""The errors below the nodes: of model files, and of how an evaluation is shared.

The first says what is wrong with which file and what to do, but not which socket asked for the file: only a
node knows that, and adds it.
"""

from ..attention.errors import PlainError


class CheckpointError(PlainError):
    """A model file is damaged, of a kind that is not read, or does not fit where it is used."""


class RankCountError(PlainError):
    """A number of GPUs cannot share one evaluation of the model."""
