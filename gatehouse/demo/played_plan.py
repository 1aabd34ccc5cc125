"""What the demo's readers are to play: validated values, read from a JSON file. Nothing is opened here."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Pacing(_Part):
    """How a played day goes, in seconds; each time varies by half around its mean."""

    card_every_s: Annotated[float, Field(gt=0)] = 4.0
    unknown_share: Annotated[float, Field(ge=0, le=1)] = 0.05
    exit_share: Annotated[float, Field(ge=0, le=1)] = 0.1
    walk_s: Annotated[float, Field(gt=0)] = 0.8
    open_s: Annotated[float, Field(gt=0)] = 1.5


class PlayedReader(_Part):
    """One reader; without a contact or an exit button the door has none."""

    id: str
    link: Path
    address: Annotated[int, Field(ge=0, le=126)]
    scbk_hex: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    strike_output: int | None = 0
    contact_input: int | None = 0
    exit_input: int | None = 1
    cards: tuple[str, ...] = ()
    unknown_cards: tuple[str, ...] = ()


class Plan(_Part):
    """What to play; `log` gets a JSON line for each card that is presented, with its wall and monotonic time."""

    readers: Annotated[tuple[PlayedReader, ...], Field(min_length=1)]
    pacing: Pacing | None = None
    log: Path | None = None
    seed: int = 1
