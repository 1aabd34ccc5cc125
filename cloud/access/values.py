"""What doors are managed with, as the API, the command line and the services name it. No value holds a secret that was
stored: PINs go in, and only one-time codes and QR codes come out, once."""

from datetime import date, datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from cloud.database.tables import ResidencyRole
from protocols.access_events import AccessMethod, DoorMode
from protocols.base import DeviceId, GatewayId, Instant, PlaceCode
from protocols.credentials import CredentialKind
from protocols.rules import AntiPassback, RuleId
from protocols.strength import Strength

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
Why = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
Pin = Annotated[str, StringConstraints(pattern=r"^[0-9]{4,8}$")]
DayMinute = Annotated[int, Field(ge=0, le=24 * 60)]


def _example(**fields: Any) -> ConfigDict:
    return ConfigDict(frozen=True, extra="forbid", json_schema_extra={"examples": [fields]})


class DoorKeyValue(BaseModel):
    """A door as its gateway names it."""

    model_config = _example(gateway="gw-east", device="d-lobby")
    gateway: GatewayId
    device: DeviceId


class ReaderValue(BaseModel):
    """A reader of a door, and where it leads: nowhere, into `area`, or out of every area."""

    model_config = _example(device="r-garage-in", name="Garage, way in", leads="into", area="garage")
    device: DeviceId
    name: Name
    leads: Annotated[str, StringConstraints(pattern=r"^(nowhere|into|out)$")] = "nowhere"
    area: RuleId | None = None

    @model_validator(mode="after")
    def _area_if_into(self) -> Self:
        if (self.leads == "into") != (self.area is not None):
            raise ValueError("area is named by a reader that leads into one, and by no other")
        return self


class RuleValue(BaseModel):
    """What a door asks for (docs/doors/managing.md). A door without a rule takes any credential with a right there."""

    model_config = _example(
        methods=["card", "card_pin", "qr"],
        card_alone="daytime",
        free=None,
        first_card=None,
        first_card_frees=False,
        two_persons=False,
        interlock=None,
        keeps_list=False,
    )
    methods: Annotated[tuple[AccessMethod, ...], Field(min_length=1, max_length=6)]
    card_alone: RuleId | None = None
    free: RuleId | None = None
    first_card: RuleId | None = None
    first_card_frees: bool = False
    two_persons: bool = False
    interlock: RuleId | None = None
    keeps_list: bool = False

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if set(self.methods) == {AccessMethod.FACE}:
            raise ValueError("methods: a face may never be the only way in; add card, pin, card_pin, qr or plate")
        if len(set(self.methods)) != len(self.methods):
            raise ValueError("methods: each at most once")
        if self.card_alone is not None and AccessMethod.CARD_PIN not in self.methods:
            raise ValueError("card_alone: only a door with the method card_pin has hours without a PIN")
        if self.first_card_frees and self.first_card is None:
            raise ValueError("first_card_frees: name the schedule first_card too")
        return self


class DoorValue(BaseModel):
    """A door with what it asks for. `policy_format` is what its gateway told at its last birth: below 2, the gateway
    knows no rules, and a door that asks for more than a card stays shut to cards."""

    model_config = _example(
        gateway="gw-east",
        device="d-lobby",
        place="aj-3-lobby",
        name="3栋大堂门",
        policy_format=2,
        groups=["residents"],
        rule={"methods": ["card", "qr"]},
        readers=[{"device": "r-lobby", "name": "外"}],
    )
    gateway: GatewayId
    device: DeviceId
    place: PlaceCode
    name: Name
    policy_format: int = 1
    groups: tuple[RuleId, ...] = ()
    rule: RuleValue | None = None
    readers: tuple[ReaderValue, ...] = ()


class DoorChange(BaseModel):
    """Where a door is and what people call it."""

    model_config = _example(place="aj-3-lobby", name="3栋大堂门")
    place: PlaceCode
    name: Name


class IntervalValue(BaseModel):
    """Minutes after local midnight of a weekday (Monday 0 … Sunday 6, public holidays 7); `until` is outside."""

    model_config = _example(weekday=0, since=480, until=1320)
    weekday: Annotated[int, Field(ge=0, le=7)]
    since: DayMinute
    until: DayMinute

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.since >= self.until:
            raise ValueError("an interval must end after it begins; split one that crosses midnight")
        return self


class ScheduleChange(BaseModel):
    """A week. If it heeds holidays, those have the hours of weekday 7, and make-up workdays those they stand for."""

    model_config = _example(
        name="白天", heeds_holidays=True, intervals=[{"weekday": day, "since": 480, "until": 1320} for day in (0, 1, 7)]
    )
    name: Name
    heeds_holidays: bool = False
    intervals: Annotated[tuple[IntervalValue, ...], Field(max_length=200)]


class ScheduleValue(ScheduleChange):
    """A week with its code."""

    model_config = _example(
        code="daytime", name="白天", heeds_holidays=False, intervals=[{"weekday": 0, "since": 480, "until": 1320}]
    )
    code: RuleId


class GroupChange(BaseModel):
    """Doors that are granted together, during one schedule."""

    model_config = _example(name="住户", schedule="always", doors=[{"gateway": "gw-east", "device": "d-lobby"}])
    name: Name
    schedule: RuleId
    doors: Annotated[tuple[DoorKeyValue, ...], Field(max_length=1000)]


class GroupValue(GroupChange):
    """A group with its code and how many credentials have it."""

    model_config = _example(
        code="residents",
        name="住户",
        schedule="always",
        doors=[{"gateway": "gw-east", "device": "d-lobby"}],
        credentials=812,
    )
    code: RuleId
    credentials: int = 0


class AreaChange(BaseModel):
    """A part of the site with its anti-passback: off, soft (let in and told), hard (refused), timed (`minutes`)."""

    model_config = _example(name="车库", anti_passback="hard", minutes=10, forgives_at=240)
    name: Name
    anti_passback: AntiPassback = AntiPassback.OFF
    minutes: Annotated[int, Field(ge=1, le=24 * 60)] = 10
    forgives_at: Annotated[int, Field(ge=0, lt=24 * 60)] | None = 4 * 60


class AreaValue(AreaChange):
    """An area with its code."""

    model_config = _example(code="garage", name="车库", anti_passback="hard", minutes=10, forgives_at=240)
    code: RuleId


class HolidayChange(BaseModel):
    """What a day counts as: 7 for a public holiday, or for a make-up workday the weekday whose hours hold."""

    model_config = _example(counts_as=7, name="国庆节")
    counts_as: Annotated[int, Field(ge=0, le=7)]
    name: Name


class HolidayValue(HolidayChange):
    """A day of the holiday calendar."""

    model_config = _example(day="2026-10-01", counts_as=7, name="国庆节")
    day: date


class PersonValue(BaseModel):
    """A person of a dwelling; the name is masked."""

    model_config = _example(
        id="0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
        name="张*",
        role="tenant",
        since="2025-09-01T00:00:00+08:00",
        until="2026-09-01T00:00:00+08:00",
    )
    id: UUID
    name: str
    role: ResidencyRole
    since: datetime
    until: datetime | None = None


class CredentialChange(BaseModel):
    """What may be changed of a credential. `pin` and `duress_pin` go with a card: left out they stay as they are, an
    empty text takes them away."""

    model_config = _example(groups=["residents"], since=None, until=None, first=False, pin="2580", duress_pin="0852")
    groups: Annotated[frozenset[RuleId], Field(max_length=64)]
    since: Instant | None = None
    until: Instant | None = None
    uses: Annotated[int, Field(ge=1, le=10_000)] | None = None
    offline_s: Annotated[int, Field(ge=0, le=366 * 86_400)] | None = None
    first: bool = False
    duress: bool = False
    pin: Annotated[str, StringConstraints(pattern=r"^([0-9]{4,8})?$")] | None = Field(default=None, repr=False)
    duress_pin: Annotated[str, StringConstraints(pattern=r"^([0-9]{4,8})?$")] | None = Field(default=None, repr=False)


class NewCredential(CredentialChange):
    """A card, a PIN that opens by itself, or a plate, for a person. `number` is the card's, the PIN, or the plate."""

    model_config = _example(
        person="0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", kind="plate", number="贵G12345", groups=["garage"]
    )
    person: UUID
    kind: CredentialKind = CredentialKind.CARD
    number: Annotated[str, StringConstraints(min_length=4, max_length=80)] = Field(repr=False)

    @model_validator(mode="after")
    def _no_pass(self) -> Self:
        if self.kind is CredentialKind.PASS:
            raise ValueError("kind: passes are made at /passes")
        return self


class CredentialValue(BaseModel):
    """A credential as it stands. Its number is shown by its last two characters alone, its PINs not at all."""

    model_config = _example(
        id="0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1c",
        person="0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
        kind="card",
        ends_with="45",
        strength="good",
        groups=["residents"],
        ends_at="2026-09-01T00:00:00+08:00",
        has_pin=True,
    )
    id: UUID
    person: UUID
    kind: CredentialKind
    ends_with: str
    strength: Strength
    groups: tuple[RuleId, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    ends_at: datetime | None = None
    """When it really ends: its own end, or the lease's with grace, whichever is first."""
    uses: int | None = None
    offline_s: int | None = None
    first: bool = False
    duress: bool = False
    has_pin: bool = False
    has_duress_pin: bool = False


class LeaseValue(BaseModel):
    """A residency that ends, and which warnings were told (days before the end)."""

    model_config = _example(
        residency="0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1d",
        person="0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
        name="张*",
        dwelling="aj-3-2-501",
        role="tenant",
        until="2026-09-01T00:00:00+08:00",
        ends_at="2026-09-04T00:00:00+08:00",
        warned=[7, 3],
    )
    residency: UUID
    person: UUID
    name: str
    dwelling: str
    role: ResidencyRole
    until: datetime
    ends_at: datetime
    warned: tuple[int, ...] = ()


class GraceChange(BaseModel):
    """For how many seconds credentials go on after a residency's end, by role; a role that is left out: not at all."""

    model_config = _example(grace_s={"tenant": 86_400, "family": 86_400})
    grace_s: dict[ResidencyRole, Annotated[int, Field(ge=0, le=366 * 86_400)]]


class ModeChange(BaseModel):
    """`free`, `locked`, or `normal` (back to the door's rules); `until` then, or until the next such command."""

    model_config = _example(mode="free", until="2026-10-01T12:00:00+08:00", why="moving day")
    mode: DoorMode
    until: Instant | None = None
    why: Why = ""


class Asked(BaseModel):
    """The operator's own reason; it goes into the audit."""

    model_config = _example(why="the resident stands outside without a card")
    why: Why = ""


class HoldRequest(BaseModel):
    """What `camera` filmed between two moments is not to be deleted at its gateway; without a camera, what each did."""

    model_config = _example(
        camera="c-east", since="2026-10-01T11:30:00+08:00", until="2026-10-01T12:00:00+08:00", why="case 2026-17"
    )
    camera: DeviceId | None = None
    since: Instant
    until: Instant
    why: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class HoldSent(BaseModel):
    """The hold's id, with which it is ended, and the command on its way."""

    model_config = _example(hold="0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", command="0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1c")
    hold: UUID
    command: UUID


class LockdownRequest(BaseModel):
    """A lockdown of these gateways' doors, to be confirmed by another person; ways out stay open."""

    model_config = _example(gateways=["gw-east"], why="a break-in is reported")
    gateways: Annotated[tuple[GatewayId, ...], Field(min_length=1, max_length=1000)]
    why: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class LockdownValue(BaseModel):
    """A lockdown: `asked`, `active`, `ended`, or `lapsed` when nobody confirmed it in time."""

    model_config = _example(
        id="0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1e",
        gateways=["gw-east"],
        state="asked",
        why="a break-in is reported",
        asked_by="0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1f",
        asked_at="2026-05-01T12:00:00Z",
        confirm_until="2026-05-01T12:05:00Z",
    )
    id: UUID
    gateways: tuple[GatewayId, ...]
    state: str
    why: str
    asked_by: UUID
    asked_at: datetime
    confirm_until: datetime
    confirmed_by: UUID | None = None
    confirmed_at: datetime | None = None
    ended_by: UUID | None = None
    ended_at: datetime | None = None
    commands: tuple[UUID, ...] = ()
    """Those that were sent just now, one a gateway."""


class PassRequest(BaseModel):
    """A pass of a host for a guest, a recurring helper (QR codes), or a courier (a one-time code on a keypad).

    A courier's code opens the doors of `groups` in their schedules, once and within a day. `offline_s` is for how long
    after the gateway's last news of the hub it is still taken; left out, by kind.
    """

    model_config = _example(
        kind="helper",
        host="0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
        label="保洁 周一、周四",
        since="2026-05-01T00:00:00+08:00",
        until="2026-08-01T00:00:00+08:00",
        days=[0, 3],
        hours=[480, 1080],
        doors=[{"gateway": "gw-east", "device": "d-lobby"}],
        groups=[],
    )
    kind: Annotated[str, StringConstraints(pattern=r"^(guest|helper|courier)$")]
    host: UUID
    label: Name
    since: Instant
    until: Instant
    days: Annotated[tuple[Annotated[int, Field(ge=0, le=6)], ...], Field(max_length=7)] = ()
    hours: tuple[DayMinute, DayMinute] | None = None
    uses: Annotated[int, Field(ge=1, le=1000)] | None = None
    offline_s: Annotated[int, Field(ge=0, le=366 * 86_400)] | None = None
    doors: Annotated[tuple[DoorKeyValue, ...], Field(max_length=32)] = ()
    groups: Annotated[tuple[RuleId, ...], Field(max_length=16)] = ()

    @model_validator(mode="after")
    def _has_sound_bounds(self) -> Self:
        if self.until <= self.since:
            raise ValueError("until: the pass ends before it begins")
        if self.hours is not None and self.hours[0] >= self.hours[1]:
            raise ValueError("hours: they end before they begin; make two passes for hours that cross midnight")
        if not self.doors and not self.groups:
            raise ValueError("doors: name at least one door or door group")
        if self.kind == "courier" and (self.doors or self.days or self.hours):
            raise ValueError("kind: a courier's code has door groups and their schedules, no doors, days or hours")
        return self


_PASS_EXAMPLE: dict[str, Any] = {
    "id": "0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a20",
    "kind": "guest",
    "host": "0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
    "label": "亲戚来访",
    "since": "2026-05-01T08:00:00+08:00",
    "until": "2026-05-01T20:00:00+08:00",
    "ends_at": "2026-05-01T20:00:00+08:00",
    "uses": 4,
    "offline_s": 86_400,
    "doors": [{"gateway": "gw-east", "device": "d-lobby"}],
    "created_at": "2026-04-30T09:00:00Z",
}


class PassValue(BaseModel):
    """A pass as it stands. `ends_at` is when it really ends: by itself, revoked, or with its host's lease."""

    model_config = _example(**_PASS_EXAMPLE)
    id: UUID
    kind: str
    host: UUID
    label: str
    since: datetime
    until: datetime
    ends_at: datetime
    days: tuple[int, ...] = ()
    hours: tuple[int, int] | None = None
    uses: int | None = None
    offline_s: int | None = None
    doors: tuple[DoorKeyValue, ...] = ()
    groups: tuple[RuleId, ...] = ()
    created_at: datetime
    created_by: UUID | None = None
    revoked_at: datetime | None = None


class QrCode(BaseModel):
    """A QR code for the doors of one gateway: the text, the picture (SVG), and when it runs out (31 days at most)."""

    model_config = _example(
        gateway="gw-east",
        token="GQ1.eyJyZWYiOiIwMTk5YTFiMiJ9.1f0c9a7be2d34c56.c2lnbmF0dXJl",  # noqa: S106 (an example)
        svg="<svg xmlns='http://www.w3.org/2000/svg'/>",
        since="2026-05-01T08:00:00+08:00",
        until="2026-05-01T20:00:00+08:00",
    )
    gateway: GatewayId
    token: str = Field(repr=False)
    svg: str = Field(repr=False)
    since: datetime
    until: datetime


class IssuedPass(BaseModel):
    """A pass with what is handed over: QR codes, or a courier's code, which is shown this once."""

    model_config = _example(
        id="0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a20",
        access_pass=_PASS_EXAMPLE,
        code="402913",
        qr_codes=[],
    )
    id: UUID
    access_pass: PassValue
    code: str | None = Field(default=None, repr=False)
    qr_codes: tuple[QrCode, ...] = ()
