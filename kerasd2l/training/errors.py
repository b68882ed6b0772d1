"""What the loop cannot train, for all its parts to say."""


class LoopError(ValueError):
    """A model or data that the loop cannot train; the message says what would go."""
