"""What can go wrong with keeping video."""


class KeepingError(Exception):
    """Base of this package's errors."""


class NotKeepable(KeepingError):
    """A stream that no fragmented MP4 can hold; the text says why."""


class IndexFault(KeepingError):
    """The index of what is kept cannot be opened or does not belong to this folder."""
