"""Which key a reader holds: certain as a rule, one of two while a change of it is not settled. Sans-io.

A key is proven by a secure channel that was opened under it after the change began, and by nothing else: a reader may
acknowledge a key and not keep it, and may keep one that it did not acknowledge.
"""


class HeldKey:
    """One reader's.

    Args:
        key: the one in force.
        new: the one that a change which was cut off left behind; the reader may hold it instead.
    """

    def __init__(self, key: bytes, new: bytes | None = None) -> None:
        self.in_use = key
        """The panel opens channels under this one."""
        self.other = new
        """What the reader may hold instead; None when that is certain."""
        self._new = new
        self._on_its_way = False

    @property
    def in_doubt(self) -> bool:
        """Whether another channel has to show which key the reader holds."""
        return self.other is not None and not self._on_its_way

    @property
    def is_certain(self) -> bool:
        return self.other is None

    def sent(self, new: bytes) -> None:
        """A new key was handed to the library for the reader."""
        self.other = self._new = new
        self._on_its_way = True

    def answered(self, *, taken: bool) -> None:
        """The order ended; the library goes on under the new key if, and only if, the reader acknowledged it."""
        if not self._on_its_way:
            return
        self._on_its_way = False
        if taken:
            self._swap()

    def linked(self) -> bool | None:
        """A channel was opened under the key in use: whether that settled a change with the new key; None: nothing."""
        if not self.in_doubt:
            return None
        self.other = None
        return self.in_use == self._new

    def linked_under_other(self) -> bool | None:
        """As `linked`, for a channel under the other key, which is in use from now on."""
        self._swap()
        return self.linked()

    def _swap(self) -> None:
        if self.other is not None:
            self.in_use, self.other = self.other, self.in_use
