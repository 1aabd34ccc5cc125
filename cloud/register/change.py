"""How an entry was taken up."""

from enum import StrEnum


class Change(StrEnum):
    """What putting an entry into the register did."""

    ADDED = "added"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
