"""The one error of model files below the nodes.

It says what is wrong with which file and what to do, but not which socket asked for the file: only a node
knows that, and adds it.
"""

from ..attention.errors import PlainError


class CheckpointError(PlainError):
    """A model file is damaged, of a kind that is not read, or does not fit where it is used."""
