"""What can be asked of a board, with names and types: `uhppoted`'s packets over our own link."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import IntEnum
from ipaddress import IPv4Address
from typing import Any

from uhppoted import decode, encode

from edge.access.drivers.uhppote.link import Link
from edge.access.drivers.uhppote.profiles import ProfileRow
from protocols.uhppote import DELETED_CARD, NO_EVENT, OVERWRITTEN, Record, Status, parse_record, parse_status


class DoorMode(IntEnum):
    """How a board holds a door."""

    OPEN = 1
    SHUT = 2
    CONTROLLED = 3


@dataclass(frozen=True)
class BoardCard:
    """A card in a board's list: valid from the first to the last day, both included. By door: 0 never, 1 always, or the
    number of a time profile."""

    first: date
    last: date
    doors: tuple[int, int, int, int]


class Overwritten(Exception):
    """The board's ring no longer holds the event."""


class Board:
    """One board.

    Every method raises `edge.access.drivers.uhppote.link.NoAnswer` if the board does not answer.

    Args:
        background: its questions wait for those of a board that is not.
    """

    def __init__(self, link: Link, serial: int, *, background: bool = False) -> None:
        self._link, self._serial, self._background = link, serial, background

    def serial_there(self) -> int:
        """The serial number of whatever board answers at the address."""
        return int(self._ask(encode.get_controller_request(0), decode.get_controller_response, tries=1).controller)

    def check(self) -> None:
        """Whether the board with our serial number answers."""
        self._ask(encode.get_controller_request(self._serial), decode.get_controller_response)

    def status(self) -> Status:
        """The state of all doors and the newest event."""
        return parse_status(self._link.ask(encode.get_status_request(self._serial), background=self._background))

    def record(self, index: int) -> Record | None:
        """The event with this index, or None if there is none yet; 0 asks for the oldest.

        Raises:
            Overwritten: if the board had it once.
        """
        packet = self._link.ask(encode.get_event_request(self._serial, index), background=self._background)
        record = parse_record(packet)
        if record.kind == OVERWRITTEN:
            raise Overwritten
        if record.kind == NO_EVENT or (index and record.index != index):
            return None
        return record

    def set_time(self, at: datetime) -> None:
        """Set the clock."""
        self._ask(encode.set_time_request(self._serial, at), decode.set_time_response)

    def listener(self) -> tuple[str, int]:
        """Where the board sends its events."""
        reply = self._ask(encode.get_listener_request(self._serial), decode.get_listener_response)
        return str(reply.address), int(reply.port)

    def set_listener(self, address: str, port: int) -> bool:
        """Have the board send its events there."""
        request = encode.set_listener_request(self._serial, IPv4Address(address), port)
        return bool(self._ask(request, decode.set_listener_response).ok)

    def record_special_events(self) -> bool:
        """Have the board record doors and buttons too."""
        request = encode.record_special_events_request(self._serial, True)
        return bool(self._ask(request, decode.record_special_events_response).updated)

    def set_remote_control(self, on: bool, *, tries: int = 3) -> bool:
        """Have the board leave each decision to us (set-pc-control), until it hears nothing for 30 s."""
        request = encode.set_pc_control_request(self._serial, on)
        return bool(self._ask(request, decode.set_pc_control_response, tries=tries).ok)

    def anti_passback(self) -> int:
        """The anti-passback mode's number."""
        return int(
            self._ask(encode.get_antipassback_request(self._serial), decode.get_antipassback_response).antipassback
        )

    def set_anti_passback(self, code: int) -> bool:
        """Set the anti-passback mode."""
        request = encode.set_antipassback_request(self._serial, code)
        return bool(self._ask(request, decode.set_antipassback_response).ok)

    def set_interlock(self, code: int) -> bool:
        """Set the interlock mode; boards cannot be asked for it."""
        return bool(self._ask(encode.set_interlock_request(self._serial, code), decode.set_interlock_response).ok)

    def door_control(self, door: int) -> tuple[DoorMode, int]:
        """How a door is held, and for how many seconds it opens."""
        reply = self._ask(encode.get_door_control_request(self._serial, door), decode.get_door_control_response)
        mode = int(reply.mode)
        return DoorMode(mode) if mode in tuple(DoorMode) else DoorMode.SHUT, int(reply.delay)

    def set_door_control(self, door: int, mode: DoorMode, delay_s: int, *, tries: int = 3) -> bool:
        """Hold a door so, and open it for so long from now on; whether the board did."""
        request = encode.set_door_control_request(self._serial, door, int(mode), delay_s)
        reply = self._ask(request, decode.set_door_control_response, tries=tries)
        return (int(reply.door), int(reply.mode), int(reply.delay)) == (door, int(mode), delay_s)

    def open_door(self, door: int) -> bool:
        """Open a door for its delay; whether the board did."""
        return bool(self._ask(encode.open_door_request(self._serial, door), decode.open_door_response).opened)

    def card_count(self) -> int:
        """How many cards the board keeps."""
        return int(self._ask(encode.get_cards_request(self._serial), decode.get_cards_response).cards)

    def card_at(self, index: int) -> tuple[int, BoardCard] | None:
        """The card at a place of the list, counted from 1, with its number.

        Deleted places have the number `DELETED_CARD`; None is beyond the end.
        """
        reply = self._ask(encode.get_card_by_index_request(self._serial, index), decode.get_card_by_index_response)
        number = int(reply.card_number)
        if not number:
            return None
        first, last = reply.start_date or date.min, reply.end_date or date.min
        doors = (int(reply.door_1), int(reply.door_2), int(reply.door_3), int(reply.door_4))
        return number, BoardCard(first, last, (0, 0, 0, 0) if number == DELETED_CARD else doors)

    def put_card(self, number: int, card: BoardCard) -> bool:
        """Add or replace a card; whether the board did."""
        request = encode.put_card_request(self._serial, number, card.first, card.last, *card.doors, 0)
        return bool(self._ask(request, decode.put_card_response).stored)

    def delete_card(self, number: int) -> bool:
        """Delete a card; whether the board had it."""
        return bool(self._ask(encode.delete_card_request(self._serial, number), decode.delete_card_response).deleted)

    def put_profile(self, number: int, row: ProfileRow, linked: int) -> bool:
        """Write a time profile that is valid for ever; whether the board did."""
        days = [day in row.days for day in range(7)]
        segments = [time(minute // 60, minute % 60) for segment in row.padded for minute in segment]
        request = encode.set_time_profile_request(self._serial, number, FIRST_DAY, LAST_DAY, *days, *segments, linked)
        return bool(self._ask(request, decode.set_time_profile_response).stored)

    def _ask(self, request: bytes, read: Callable[[bytes], Any], tries: int = 3) -> Any:
        return read(self._link.ask(request, background=self._background, tries=tries))


FIRST_DAY = date(2001, 1, 1)
LAST_DAY = date(2099, 12, 31)
"""What boards take as "always": years have two or four digits of this century."""
