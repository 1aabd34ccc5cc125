"""Who is there: a gateway's birth and last will, the hub's own, and the proof that the hub is there now.

States are retained. A session number tells a late will from the birth that followed it: an offline of an older session
is ignored. What was retained or signed some time ago proves nothing about now, so a birth carries a nonce, and the hub
answers it (`Echo`) with the nonce and its time.
"""

from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from protocols.base import Hex128, Hex256, Instant, Message
from protocols.events import ClockState


class Presence(StrEnum):
    ONLINE = "online"
    OFFLINE = "offline"


class CredentialsApplied(Message):
    """The credential set that decides at the doors now."""

    version: Annotated[int, Field(ge=0)]
    digest: Hex256


class GatewayState(Message):
    """Retained on `up/state`; the will is the same with `offline` and without the optional fields."""

    v: Literal[1] = 1
    state: Presence
    session: Annotated[int, Field(ge=1)]
    version: Annotated[str, StringConstraints(max_length=40)] | None = None
    stream: UUID | None = None
    outbox_rows: Annotated[int, Field(ge=0)] | None = None
    clock: ClockState | None = None
    credentials: CredentialsApplied | None = None
    policy_format: Annotated[int, Field(ge=1, le=1000)] | None = None
    """The newest format of rows and rules that it reads; None: 1."""
    nonce: Hex128 | None = None
    """128 random bits, others in each birth, which the hub echoes. An older gateway sends none and gets no echo; an
    older hub leaves it unanswered."""


class Echo(Message):
    """On `down/echo`, never retained: the hub was there after the birth with this nonce was sent, and its clock said
    `time` between that and the echo's arrival.

    A gateway takes a nonce that it sent itself, once. After its hub's first echo it takes nothing less for news of it.
    """

    v: Literal[1] = 1
    nonce: Hex128
    time: Instant


class HubState(Message):
    """Retained on `gh/v1/hub/state`."""

    v: Literal[1] = 1
    state: Presence
    session: Annotated[int, Field(ge=1)]
