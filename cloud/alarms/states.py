"""The state model of an alarm: how far it is handled and whether its cause still holds, as two axes of their own.

In the spirit of ANSI/ISA-18.2 (IEC 62682). `escalated` is the level, a number; being shelved lies over both axes.
Every move that is not in `MOVES` is refused by the hub.
"""

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from types import MappingProxyType

from cloud.accounts.permissions import PERMISSIONS, Permission
from cloud.database.tables import AccountRole


class Source(StrEnum):
    """Where it came from."""

    RULE = "rule"
    MATTER = "matter"
    """Somebody reported it (`cloud.matters`)."""


class Handling(StrEnum):
    """How far people are with it; only forwards, but for a matter that is passed to another place."""

    NEW = "new"
    ACKED = "acked"
    """Somebody has taken it on."""
    HANDLING = "handling"
    CLOSED = "closed"


class Condition(StrEnum):
    """Whether its cause still holds."""

    ACTIVE = "active"
    CLEARED = "cleared"
    REPORTED = "reported"
    """A matter: no device tells."""


class Priority(IntEnum):
    """1 is the most urgent. 4 is the journal: never in the queue, never a sound, told to nobody."""

    P1 = 1
    P2 = 2
    P3 = 3
    JOURNAL = 4


class Level(IntEnum):
    """Whose turn it is."""

    GUARD = 0
    COMMUNITY = 1
    TOWNSHIP = 2
    DISTRICT = 3


class Audience(StrEnum):
    """Who is told first."""

    DUTY = "duty"
    """Whoever is on duty at the alarm's level."""
    UNIT_HEAD = "unit_head"
    """The head of the joint-household unit: for the care of people there."""


class Outcome(StrEnum):
    """How an alarm ended."""

    SETTLED = "settled"
    NO_ACTION = "no_action"
    """Looked at, and nothing had to be done."""
    FALSE_ALARM = "false_alarm"
    DEVICE_FAULT = "device_fault"
    HANDED_OVER = "handed_over"
    """To the police, the fire brigade, a doctor or an owner."""
    NOT_FOUND = "not_found"
    """Whoever went there found nothing."""
    TEST = "test"
    JOURNAL = "journal"
    """Written down alone (priority 4); no person's choice."""


class Move(StrEnum):
    """What a step was."""

    RAISED = "raised"
    REPEATED = "repeated"
    CHATTERING = "chattering"
    JOINED = "joined"
    """A finding with the same cause, such as a door of a gateway that is lost."""
    CLEARED = "cleared"
    ACKNOWLEDGED = "acknowledged"
    BEGUN = "begun"
    NOTED = "noted"
    CLOSED = "closed"
    ESCALATED = "escalated"
    """By the clock."""
    PASSED_UP = "passed_up"
    """By a person."""
    SHELVED = "shelved"
    UNSHELVED = "unshelved"
    PASSED_ON = "passed_on"
    """To another place or grid, where it is new."""
    OVERDUE = "overdue"
    """A limit was missed at the district, which has no level above it."""
    ORDERED = "ordered"
    """A work order was given; the moves below are those of an order (`cloud.alarms.orders`)."""
    ORDER_ACCEPTED = "order_accepted"
    ORDER_REFUSED = "order_refused"
    ORDER_DONE = "order_done"
    ORDER_OVERDUE = "order_overdue"
    ORDER_WITHDRAWN = "order_withdrawn"


ORDER_MOVES = frozenset(move for move in Move if move is Move.ORDERED or move.startswith("order_"))

MOVES: Mapping[Move, Mapping[Handling, Handling]] = MappingProxyType(
    {
        Move.ACKNOWLEDGED: {Handling.NEW: Handling.ACKED},
        Move.BEGUN: {Handling.ACKED: Handling.HANDLING},
        Move.NOTED: {each: each for each in Handling if each is not Handling.CLOSED},
        Move.PASSED_UP: {each: each for each in Handling if each is not Handling.CLOSED},
        Move.SHELVED: {each: each for each in Handling if each is not Handling.CLOSED},
        Move.UNSHELVED: {each: each for each in Handling if each is not Handling.CLOSED},
        Move.PASSED_ON: {each: Handling.NEW for each in Handling if each is not Handling.CLOSED},
        Move.CLOSED: {Handling.ACKED: Handling.CLOSED, Handling.HANDLING: Handling.CLOSED},
    }
)
"""What people can do: move -> the states in which it can be done, and where it leads."""

CLOSES_WHEN_ACKED = frozenset({Outcome.FALSE_ALARM, Outcome.TEST, Outcome.NO_ACTION})
"""Outcomes that need no handling in between."""

CLOSES_WHEN_ACTIVE = frozenset({Outcome.FALSE_ALARM, Outcome.DEVICE_FAULT, Outcome.HANDED_OVER, Outcome.TEST})
"""Outcomes with which an alarm is closed while its cause still holds. Found again, it is another alarm."""

MAY_HANDLE = frozenset(role for role, held in PERMISSIONS.items() if Permission.HANDLE_ALARMS in held)

LEVEL_OF_ROLE = MappingProxyType(
    {
        AccountRole.GUARD: Level.GUARD,
        AccountRole.GRID_MEMBER: Level.COMMUNITY,
        AccountRole.COMMUNITY: Level.COMMUNITY,
        AccountRole.TOWNSHIP: Level.TOWNSHIP,
        AccountRole.DISTRICT: Level.DISTRICT,
    }
)
"""At which level an account of that role is told."""
