"""What a conversion refuses."""


class ConvertError(ValueError):
    """A workflow that cannot be converted; says why and what to do."""
