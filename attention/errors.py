"""The root of the errors that a person reads, and the one error that the choice of a backend can raise."""

from .plain_text import plain


class PlainError(ValueError):
    """An error whose message is a sentence for a person, and can always be encoded, logged and sent.

    The sentence may quote what a stranger has written; the root makes it plain, for all errors of the pack.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(plain(str(message)))


class UnknownBackendError(PlainError):
    """A name was asked for that no backend has; the message lists the names that are accepted."""


class AttentionStateError(PlainError):
    """What a run kept of its sparse attention is not what such a run keeps."""
