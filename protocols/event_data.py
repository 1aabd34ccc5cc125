"""What every type of event data is made of."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from protocols.base import Hex256, Message
from protocols.topics import EventClass

Text = Annotated[str, StringConstraints(max_length=300)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Seconds = Annotated[float, Field(ge=0.0)]


class EventData(Message):
    """What one type of event says. `TYPE` and `EVENT_CLASS` are the type's name on the wire and its topic."""

    TYPE: ClassVar[str]
    EVENT_CLASS: ClassVar[EventClass]


class Snapshot(Message):
    """A JPEG that is sent over HTTP beside the event, named by its SHA-256."""

    sha256: Hex256
    size_bytes: Annotated[int, Field(gt=0)]
    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]


class Box(Message):
    """An upright rectangle in fractions of the frame, origin at its top left."""

    left: Fraction
    top: Fraction
    right: Fraction
    bottom: Fraction


class VehicleKind(StrEnum):
    """What the detector calls a vehicle."""

    BICYCLE = "bicycle"
    CAR = "car"
    MOTORCYCLE = "motorcycle"
    BUS = "bus"
    TRUCK = "truck"
