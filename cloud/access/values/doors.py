"""Doors, their readers, what each asks for, and areas."""

from typing import Annotated, Self

from pydantic import BaseModel, Field, StringConstraints, model_validator

from cloud.access.values.base import Name, example
from protocols.access_events import BIOMETRIC_METHODS, AccessMethod
from protocols.base import DeviceId, GatewayId, PlaceCode
from protocols.rules import AntiPassback, RuleId


class ReaderValue(BaseModel):
    """A reader of a door, and where it leads: nowhere, into `area`, or out of every area."""

    model_config = example(device="r-garage-in", name="Garage, way in", leads="into", area="garage")
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

    model_config = example(
        methods=["card", "card_pin", "qr"],
        card_alone="daytime",
        free=None,
        first_card=None,
        first_card_frees=False,
        two_persons=False,
        interlock=None,
        keeps_list=False,
    )
    methods: Annotated[tuple[AccessMethod, ...], Field(min_length=1, max_length=len(AccessMethod))]
    card_alone: RuleId | None = None
    free: RuleId | None = None
    first_card: RuleId | None = None
    first_card_frees: bool = False
    two_persons: bool = False
    interlock: RuleId | None = None
    keeps_list: bool = False

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if BIOMETRIC_METHODS.issuperset(self.methods):
            why = "a face, finger, palm or vein may never be the only way in"
            raise ValueError(f"methods: {why}; add card, pin, card_pin, qr or plate")
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

    model_config = example(
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

    model_config = example(place="aj-3-lobby", name="3栋大堂门")
    place: PlaceCode
    name: Name


class AreaChange(BaseModel):
    """A part of the site with its anti-passback: off, soft (let in and told), hard (refused), timed (`minutes`)."""

    model_config = example(name="车库", anti_passback="hard", minutes=10, forgives_at=240)
    name: Name
    anti_passback: AntiPassback = AntiPassback.OFF
    minutes: Annotated[int, Field(ge=1, le=24 * 60)] = 10
    forgives_at: Annotated[int, Field(ge=0, lt=24 * 60)] | None = 4 * 60


class AreaValue(AreaChange):
    """An area with its code."""

    model_config = example(code="garage", name="车库", anti_passback="hard", minutes=10, forgives_at=240)
    code: RuleId
