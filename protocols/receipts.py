"""The hub's receipt: which events of a stream are committed, so that the gateway may delete them, and nothing else."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from protocols.base import Message

Seq = Annotated[int, Field(ge=0, le=2**53)]
MAX_RANGES = 500


class Receipt(Message):
    """Events of `stream` up to `upto`, and in the closed ranges `also` beyond it, are stored or refused for good."""

    v: Literal[1] = 1
    stream: UUID
    upto: Seq
    also: Annotated[tuple[tuple[Seq, Seq], ...], Field(max_length=MAX_RANGES)] = ()

    @model_validator(mode="after")
    def _ranges_rise(self) -> Self:
        edge = self.upto
        for first, last in self.also:
            if not edge < first <= last:
                raise ValueError("receipt ranges must rise and lie beyond `upto`")
            edge = last
        return self

    def covers(self, seq: int) -> bool:
        """Whether this receipt names `seq`."""
        return seq <= self.upto or any(first <= seq <= last for first, last in self.also)
