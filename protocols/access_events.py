"""Events of doors and readers, and the one list of reasons that every decision at a door takes its code from."""

from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from protocols.base import DeviceId, Hex128, Instant
from protocols.event_data import EventData, Seconds, Text
from protocols.topics import EventClass


class AccessMethod(StrEnum):
    """What was presented at the reader."""

    CARD = "card"
    PIN = "pin"
    CARD_PIN = "card_pin"
    QR = "qr"
    PLATE = "plate"
    FACE = "face"
    """A terminal's own verdict, as those below. No picture, template or vector ever leaves the terminal."""
    FINGERPRINT = "fingerprint"
    PALM = "palm"
    VEIN = "vein"
    """Of a finger or a palm."""


BIOMETRIC_METHODS = frozenset({AccessMethod.FACE, AccessMethod.FINGERPRINT, AccessMethod.PALM, AccessMethod.VEIN})
"""What only a terminal can judge. None of them, nor all together, may be the only way in at a door."""


class GrantReason(StrEnum):
    """Why a door opened."""

    VALID = "valid"
    FREE_PASSAGE = "free_passage"
    """The door stood free; who presented a credential would have been let in or not."""
    SOFT_ANTI_PASSBACK = "soft_anti_passback"
    """Valid, but the holder was thought to be inside the area already (or outside)."""
    WAY_OUT = "way_out"
    """Not valid, but at a reader that leads out, where everybody who is known gets out."""


class DenialReason(StrEnum):
    """Why a door stayed shut; the first that applies, in this order."""

    LOCKED_OUT = "locked_out"
    """Too many wrong tries at this reader; it takes none for a while."""
    UNREADABLE = "unreadable"
    BAD_TOKEN = "bad_token"  # noqa: S105 (no password)
    """A QR code that the hub did not sign, or that cannot be read."""
    OTHER_SITE = "other_site"
    """A QR code of another site."""
    UNKNOWN_CREDENTIAL = "unknown_credential"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    PIN_MISSING = "pin_missing"
    """The door wants a PIN after the card, and none came in time."""
    WRONG_PIN = "wrong_pin"
    CLOCK_UNTRUSTED = "clock_untrusted"
    """The gateway's clock jumped, so a pass that expires cannot be judged."""
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    USED_UP = "used_up"
    POLICY_STALE = "policy_stale"
    """The hub has been out of reach for longer than this credential allows."""
    NO_RIGHT_AT_DOOR = "no_right_at_door"
    OUTSIDE_SCHEDULE = "outside_schedule"
    FIRST_CARD_MISSING = "first_card_missing"
    """The door opens to others only after a first card in the same interval of its schedule."""
    LOCKDOWN = "lockdown"
    LOCKED = "locked"
    """The door was locked by a command."""
    ANTI_PASSBACK = "anti_passback"
    INTERLOCK = "interlock"
    """Another door of the interlock stands open or released."""
    SECOND_PERSON_MISSING = "second_person_missing"
    """The door wants two persons; this was the first of them."""
    TERMINAL_REFUSED = "terminal_refused"
    """A terminal or board that decided by itself refused, for a reason of its own."""


class DecidedBy(StrEnum):
    """Which device decided."""

    GATEWAY = "gateway"
    TERMINAL = "terminal"
    """A face terminal or intercom."""
    BOARD = "board"
    """A controller board, from the list that the gateway gave it (while the gateway was away, or always)."""


class ReleaseCause(StrEnum):
    """Why the strike let a door go."""

    CREDENTIAL = "credential"
    REQUEST_TO_EXIT = "request_to_exit"
    COMMAND = "command"
    FREE_PASSAGE = "free_passage"
    DEVICE = "device"
    """The device opened by itself: its own verdict, its button, its intercom."""
    UNKNOWN = "unknown"
    """Found open by a gateway that had just started, so that nobody knows."""


class DoorMode(StrEnum):
    """How a door stands to those who come; a way out is never blocked."""

    NORMAL = "normal"
    FREE = "free"
    """Unlocked for everybody."""
    LOCKED = "locked"
    """Nobody is let in; a command or the end of the lockdown undoes it."""


class ModeCause(StrEnum):
    """What put a door into its mode."""

    SCHEDULE = "schedule"
    FIRST_CARD = "first_card"
    COMMAND = "command"
    LOCKDOWN = "lockdown"


class AccessGranted(EventData):
    """A credential was presented and the strike was released. `subject` is the door."""

    TYPE: ClassVar[str] = "access.granted.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.ACCESS
    reader: DeviceId
    method: AccessMethod
    credential: UUID
    policy_version: Annotated[int, Field(ge=0)]
    decision_us: Annotated[int, Field(ge=0)]
    reason: GrantReason = GrantReason.VALID
    decided_by: DecidedBy = DecidedBy.GATEWAY


class AccessDenied(EventData):
    """A credential was presented and the door stayed shut. An unknown one is told by its keyed hash alone."""

    TYPE: ClassVar[str] = "access.denied.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.ACCESS
    reader: DeviceId
    method: AccessMethod
    reason: DenialReason
    credential: UUID | None = None
    credential_hash: Hex128 | None = None
    policy_version: Annotated[int, Field(ge=0)]
    decision_us: Annotated[int, Field(ge=0)]
    decided_by: DecidedBy = DecidedBy.GATEWAY
    detail: Text = ""
    """A terminal's or board's own reason, as a word."""


class AccessDuress(EventData):
    """Somebody opened a door under threat, with the PIN that says so. Nothing at the door shows it."""

    TYPE: ClassVar[str] = "access.duress.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.ALARM
    reader: DeviceId
    credential: UUID


class ReaderLockedOut(EventData):
    """Too many wrong tries at a reader: it takes none for `for_s`. `subject` is the reader."""

    TYPE: ClassVar[str] = "reader.locked_out.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.ALARM
    for_s: Seconds


class DoorReleased(EventData):
    """The strike let the door go for another cause than a credential. `corr` is the command's, if it was one."""

    TYPE: ClassVar[str] = "door.released.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.ACCESS
    cause: ReleaseCause
    corr: UUID | None = None


class DoorModeChanged(EventData):
    """A door went over to another mode, until `until` or until further notice."""

    TYPE: ClassVar[str] = "door.mode_changed.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.ACCESS
    mode: DoorMode
    cause: ModeCause
    until: Instant | None = None
    corr: UUID | None = None


class LockdownChanged(EventData):
    """A lockdown of every door began or ended. `subject` is the gateway."""

    TYPE: ClassVar[str] = "lockdown.changed.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.ALARM
    active: bool
    corr: UUID | None = None


class FireInput(EventData):
    """The fire panel's input became active or ended. It is reported; doors are freed in hardware. `subject` is the door
    or reader whose input it is."""

    TYPE: ClassVar[str] = "fire.input.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.ALARM
    active: bool


class DoorOpened(EventData):
    """The door contact opened while the door was released."""

    TYPE: ClassVar[str] = "door.opened.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.ACCESS
    cause: ReleaseCause


class DoorClosed(EventData):
    """The door contact closed and the door is locked."""

    TYPE: ClassVar[str] = "door.closed.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.ACCESS
    open_s: Seconds


class DoorHeld(EventData):
    """The door stood open for longer than it may."""

    TYPE: ClassVar[str] = "door.held.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.ALARM
    open_s: Seconds


class DoorForced(EventData):
    """The door contact opened though nothing had released the door."""

    TYPE: ClassVar[str] = "door.forced.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.ALARM


class ReaderOfflineReason(StrEnum):
    """Why a reader cannot be used."""

    NO_ANSWER = "no_answer"
    KEY = "key"
    """It answers, but no secure channel comes about: it holds another key."""
    PORT = "port"
    WORKER = "worker"
    STOPPED = "stopped"
    UNAUTHORISED = "unauthorised"
    """It refuses the user or password."""
    UNKNOWN_DEVICE = "unknown_device"
    """What answers is not the device that is configured: another serial number, another kind."""


class ReaderOnline(EventData):
    """A reader answers, and whether its line is encrypted (OSDP secure channel). `subject` is the reader."""

    TYPE: ClassVar[str] = "reader.online.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.DEVICE
    secure_channel: bool


class ReaderOffline(EventData):
    """A reader stopped answering."""

    TYPE: ClassVar[str] = "reader.offline.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.DEVICE
    reason: ReaderOfflineReason
    detail: Text = ""


class ReaderTamper(EventData):
    """A reader's tamper switch opened (`active`) or closed."""

    TYPE: ClassVar[str] = "reader.tamper.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.ALARM
    active: bool


class ReaderPower(EventData):
    """A reader's power failed or came back, as the reader reports it."""

    TYPE: ClassVar[str] = "reader.power.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.ALARM
    failed: bool


class PolicyStale(EventData):
    """The hub has been out of reach for so long that some credentials are no longer taken, or is back again."""

    TYPE: ClassVar[str] = "policy.stale.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.DEVICE
    stale: bool
    since: Instant


ACCESS_EVENTS: tuple[type[EventData], ...] = (
    AccessGranted,
    AccessDenied,
    AccessDuress,
    DoorReleased,
    DoorModeChanged,
    DoorOpened,
    DoorClosed,
    DoorHeld,
    DoorForced,
    LockdownChanged,
    FireInput,
    ReaderOnline,
    ReaderOffline,
    ReaderTamper,
    ReaderPower,
    ReaderLockedOut,
    PolicyStale,
)
