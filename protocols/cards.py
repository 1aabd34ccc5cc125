"""Card numbers as readers send them: Wiegand 26, 34 and 37 with parity, or the raw bits.

A number's `text` is its one canonical spelling, on both sides of the wire; its keyed hash is all that a gateway stores.

Wiegand formats (SIA AC-01 for 26 bits; HID's public descriptions of H10302/H10304 for 37; the common 34-bit layout):

| format | layout |
|---|---|
| w26 | even parity over the first 12 bits after it, 8 facility, 16 number, odd parity over the last 12 before it |
| w34 | even parity over the first half, 16 facility, 16 number, odd parity over the second half |
| w37 | even parity over the first 18 data bits, 16 facility, 19 number, odd parity over the last 18 (H10304) |
"""

import hmac
from dataclasses import dataclass
from enum import StrEnum

from protocols.base import ProtocolError

MAX_RAW_BITS = 256


class CardFormat(StrEnum):
    W26 = "w26"
    W34 = "w34"
    W37 = "w37"
    RAW = "raw"


class UnreadableCard(ProtocolError):
    """Bits that are not a card of the expected format: a wrong length or parity."""


@dataclass(frozen=True)
class _Layout:
    facility_bits: int
    number_bits: int
    parity_span: int
    """How many data bits each of the two parity bits covers, from its own end."""

    @property
    def data_bits(self) -> int:
        return self.facility_bits + self.number_bits


_LAYOUTS = {
    CardFormat.W26: _Layout(8, 16, 12),
    CardFormat.W34: _Layout(16, 16, 16),
    CardFormat.W37: _Layout(16, 19, 18),
}


@dataclass(frozen=True)
class CardNumber:
    """A card as the register and the gateway both spell it."""

    format: CardFormat
    facility: int
    number: int
    bit_count: int

    @property
    def text(self) -> str:
        """`w26:12:345` (facility, number), or `raw32:0badcafe` (bits, hex)."""
        if self.format is CardFormat.RAW:
            return f"raw{self.bit_count}:{self.number:0{(self.bit_count + 3) // 4}x}"
        return f"{self.format}:{self.facility}:{self.number}"


def decode(bits: int, bit_count: int, expected: CardFormat) -> CardNumber:
    """Read the bits of a card, first bit most significant.

    Raises:
        UnreadableCard: for a length or parity that the format does not have.
    """
    if expected is CardFormat.RAW:
        if not 0 < bit_count <= MAX_RAW_BITS or bits >> bit_count:
            raise UnreadableCard(f"a raw card has 1 to {MAX_RAW_BITS} bits, not {bit_count}")
        return CardNumber(expected, 0, bits, bit_count)
    layout = _LAYOUTS[expected]
    if bit_count != layout.data_bits + 2 or bits >> bit_count:
        raise UnreadableCard(f"a {expected} card has {layout.data_bits + 2} bits, not {bit_count}")
    data = bits >> 1 & (1 << layout.data_bits) - 1
    if bits >> bit_count - 1 != _even_parity(data, layout) or bits & 1 != _odd_parity(data, layout):
        raise UnreadableCard(f"wrong parity for a {expected} card")
    return CardNumber(expected, data >> layout.number_bits, data & (1 << layout.number_bits) - 1, bit_count)


def decode_bytes(data: bytes, bit_count: int, expected: CardFormat) -> CardNumber:
    """Read a card from packed bytes, most significant bit first, padded at the end (OSDP 2.2, osdp_RAW).

    Raises:
        UnreadableCard: as `decode`, or if there are not `bit_count` bits.
    """
    if not 0 < bit_count <= MAX_RAW_BITS or len(data) * 8 < bit_count:
        raise UnreadableCard(f"{bit_count} card bits do not fit {len(data)} bytes")
    used = data[: (bit_count + 7) // 8]
    return decode(int.from_bytes(used, "big") >> len(used) * 8 - bit_count, bit_count, expected)


def encode(card: CardNumber) -> int:
    """The bits that a reader sends for a card: the inverse of `decode`."""
    if card.format is CardFormat.RAW:
        return card.number
    layout = _LAYOUTS[card.format]
    data = card.facility << layout.number_bits | card.number
    return _even_parity(data, layout) << layout.data_bits + 1 | data << 1 | _odd_parity(data, layout)


def encode_bytes(card: CardNumber) -> bytes:
    """The packed bytes of a card, padded with zeros at the end: the inverse of `decode_bytes`."""
    length = (card.bit_count + 7) // 8
    return (encode(card) << length * 8 - card.bit_count).to_bytes(length, "big")


def parse_text(text: str) -> CardNumber:
    """Read a card's canonical spelling, as an import file or a person gives it.

    Raises:
        UnreadableCard: with what was expected.
    """
    kind, _, rest = text.strip().lower().partition(":")
    try:
        if kind.startswith("raw"):
            return decode(int(rest, 16), int(kind[3:]), CardFormat.RAW)
        layout = _LAYOUTS[CardFormat(kind)]
        facility, number = (int(part) for part in rest.split(":"))
    except ValueError as error:
        if isinstance(error, UnreadableCard):
            raise
        raise UnreadableCard(f"{text!r} is not a card: write w26:FACILITY:NUMBER (w34, w37) or rawBITS:HEX") from error
    if not (0 <= facility < 1 << layout.facility_bits and 0 <= number < 1 << layout.number_bits):
        raise UnreadableCard(f"{text!r}: facility or number is too large for {kind}")
    return CardNumber(CardFormat(kind), facility, number, layout.data_bits + 2)


def keyed_hash(key: bytes, card: CardNumber) -> str:
    """What a gateway knows a card by: 128 bits of HMAC-SHA256 under the gateway's own card key, as 32 hex digits."""
    return hmac.digest(key, card.text.encode(), "sha256")[:16].hex()


def _even_parity(data: int, layout: _Layout) -> int:
    return (data >> layout.data_bits - layout.parity_span).bit_count() & 1


def _odd_parity(data: int, layout: _Layout) -> int:
    return 1 - ((data & (1 << layout.parity_span) - 1).bit_count() & 1)
