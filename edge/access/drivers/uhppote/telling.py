"""A board's events and state as what the access controller is told."""

from collections.abc import Callable, Iterable
from zoneinfo import ZoneInfo

from edge.access.config import Reader
from edge.access.drivers.interface import (
    CardPresented,
    Deliver,
    DeviceDecided,
    DoorOpenedByDevice,
    InputsReported,
    NumberPresented,
)
from protocols.access_events import AccessMethod, DecidedBy
from protocols.cards import CardFormat, CardNumber, UnreadableCard
from protocols.uhppote import DOORS, Reason, Record, Status, card_of


def misfit(reader: Reader) -> str:
    """Why a reader cannot be one of a board, or nothing."""
    if reader.channel > 2 * DOORS:
        return f"a UHPPOTE board has no channel {reader.channel}: 1 to 4 are its doors, 5 to 8 their exit readers"
    if reader.card_format is CardFormat.W37:
        return "a UHPPOTE board cannot read w37 cards: set card_format to w26, w34 or raw"
    return ""


def door_of(reader: Reader) -> int:
    """The number of the door on the board."""
    return (reader.channel - 1) % DOORS + 1


class Teller:
    """Delivers what happened at the readers of one board.

    Args:
        gateway_decides: cards that the board asks about are the gateway's to decide.
        was_ours: whether an opening of a door, which the board reports, was asked for by us.
    """

    def __init__(
        self,
        readers: Iterable[Reader],
        zone: ZoneInfo,
        deliver: Deliver,
        was_ours: Callable[[int], bool],
        *,
        gateway_decides: bool,
    ) -> None:
        self._by_channel = {reader.channel: reader for reader in readers}
        self._zone, self._deliver, self._was_ours = zone, deliver, was_ours
        self._gateway_decides = gateway_decides
        self.begin()

    def begin(self) -> None:
        """Know nothing of the inputs."""
        self._inputs: dict[str, tuple[bool, ...]] = {}
        self._open = self._pressed = (False,) * DOORS
        self._fire = False

    def state(self, status: Status) -> None:
        """Deliver each reader's inputs where they changed: contact, exit button, and the board's fire input."""
        self._open, self._pressed, self._fire = status.open, status.pressed, status.fire
        for reader in self._by_channel.values():
            self._tell_inputs(reader)

    def record(self, record: Record, live: bool, read_ns: int) -> None:
        """Deliver an event; `live`: it happened just now.

        What cards did is told in any case, what doors did only now: of the past the present state is enough.
        """
        reader = self._by_channel.get(record.door + DOORS if record.exit else 0) or self._by_channel.get(record.door)
        if reader is None:
            return
        if record.is_swipe and self.is_for_gateway(record) and live:
            self._present(reader, record, read_ns)
        elif record.is_swipe:
            self._decided(reader, record, live)
        elif live:
            self._door(reader, record)

    def is_for_gateway(self, record: Record) -> bool:
        """Whether the board asked, and did not decide."""
        return self._gateway_decides and _asked(record)

    def _present(self, reader: Reader, record: Record, read_ns: int) -> None:
        card = _card(record, reader.card_format)
        if card is None:  # for the controller to call it unreadable, as it is in this format
            self._deliver(CardPresented(reader.id, record.card.to_bytes(4, "big"), 32, read_ns))
        else:
            self._deliver(NumberPresented(reader.id, card, read_ns))

    def _decided(self, reader: Reader, record: Record, live: bool) -> None:
        why = "gateway_away" if _asked(record) else record.word
        self._deliver(
            DeviceDecided(
                reader.id,
                record.granted,
                AccessMethod.CARD_PIN if record.reason == Reason.WRONG_PASSWORD else AccessMethod.CARD,
                DecidedBy.BOARD,
                _card(record, reader.card_format),
                at=None if record.at is None else record.at.replace(tzinfo=self._zone),
                reason="" if record.granted else why,
            )
        )
        if live and record.granted:
            self._deliver(DoorOpenedByDevice(reader.id))

    def _door(self, reader: Reader, record: Record) -> None:
        match record.reason:
            case Reason.DOOR_OPENED | Reason.DOOR_CLOSED:
                opened = record.reason == Reason.DOOR_OPENED
                self._open = (*self._open[: record.door - 1], opened, *self._open[record.door :])
                self._tell_inputs(reader)
            case Reason.BUTTON | Reason.SUPERVISOR_PASSWORD | Reason.REMOTE_OPEN_USB:
                self._deliver(DoorOpenedByDevice(reader.id))
            case Reason.REMOTE_OPEN if not self._was_ours(record.door):
                self._deliver(DoorOpenedByDevice(reader.id))

    def _tell_inputs(self, reader: Reader) -> None:
        door = door_of(reader) - 1
        inputs = (self._open[door], self._pressed[door], self._fire)
        if self._inputs.get(reader.id) != inputs:
            self._inputs[reader.id] = inputs
            self._deliver(InputsReported(reader.id, inputs))


def _asked(record: Record) -> bool:
    return record.reason == Reason.REMOTE_CONTROL and not record.granted


def _card(record: Record, expected: CardFormat) -> CardNumber | None:
    try:
        return card_of(record.card, expected)
    except UnreadableCard:
        return None
