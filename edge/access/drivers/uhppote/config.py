"""Configuration of a `[[device]]` of kind "uhppote"."""

from enum import StrEnum
from ipaddress import IPv4Address
from typing import Annotated, Literal

from pydantic import Field

from edge.access.device import Device


class Decides(StrEnum):
    """Who decides at the doors while the gateway is there; while it is not, the board always does."""

    GATEWAY = "gateway"
    BOARD = "board"


class AntiPassback(StrEnum):
    """The board's own anti-passback: which readers stand against which."""

    OFF = "off"
    PAIRS = "1:2,3:4"
    SIDES = "1,3:2,4"
    ONE_TO_TWO = "1:2,3"
    ONE_TO_THREE = "1:2,3,4"

    @property
    def code(self) -> int:
        """The board's number for it."""
        return list(AntiPassback).index(self)


class Interlock(StrEnum):
    """The board's own interlock: of the doors joined by a plus only one is open at a time."""

    OFF = "off"
    DOORS_1_2 = "1+2"
    DOORS_2_3 = "2+3"
    PAIRS = "1+2,3+4"
    DOORS_1_2_3 = "1+2+3"
    ALL = "1+2+3+4"

    @property
    def code(self) -> int:
        """The board's number for it."""
        return 8 if self is Interlock.ALL else list(Interlock).index(self)


class UhppoteBoard(Device):
    """A UHPPOTE board with one, two or four doors; a reader's channel is the door's number on it, plus 4 for a reader
    on the way out of that door."""

    kind: Literal["uhppote"]
    address: IPv4Address
    """The board's IP address. It speaks IPv4 alone, and its events are taken from this address alone."""
    port: Annotated[int, Field(ge=1, le=65535)] = 60000
    serial: Annotated[int, Field(ge=1, lt=0xFFFFFFFF)]
    """The board's serial number, as printed on it."""
    tcp: bool = False
    """Ask the board over TCP, which firmware 8.92 and later can; its events come by UDP all the same."""
    decides: Decides = Decides.GATEWAY
    listen_address: IPv4Address | None = None
    """Where the board sends its events; without it the address from which the gateway reaches the board."""
    listen_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """The UDP port for the board's events; 0: any free one. Each board needs its own."""
    anti_passback: AntiPassback = AntiPassback.OFF
    interlock: Interlock = Interlock.OFF
