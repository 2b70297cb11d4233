"""The one error that the choice of a backend can raise."""


class UnknownBackendError(ValueError):
    """A name was asked for that no backend has; the message lists the names that are accepted."""
