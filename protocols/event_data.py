"""What every type of event data is made of."""

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from protocols.base import Message
from protocols.topics import EventClass

Text = Annotated[str, StringConstraints(max_length=300)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Seconds = Annotated[float, Field(ge=0.0)]


class EventData(Message):
    """What one type of event says. `TYPE` and `EVENT_CLASS` are the type's name on the wire and its topic."""

    TYPE: ClassVar[str]
    EVENT_CLASS: ClassVar[EventClass]
