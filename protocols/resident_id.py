"""Resident identity numbers (GB 11643-1999): 6 digits of division, 8 of birth, 3 of order, 1 check character.

The check character is ISO 7064 MOD 11-2. The division is where the number was first given, under the codes of that
year; tables of it are incomplete for old and changed divisions (5204xx for one), so it is told and never checked.
"""

from dataclasses import dataclass
from datetime import date

from protocols.base import ProtocolError

LENGTH = 18
_WEIGHTS = tuple(pow(2, LENGTH - 1 - place, 11) for place in range(LENGTH - 1))
_CHECK = "10X98765432"


class BadResidentId(ProtocolError):
    """Text that is no resident identity number; the message never repeats it."""


@dataclass(frozen=True)
class ResidentId:
    """A number whose check character and date are right. `repr` never shows it."""

    text: str

    @property
    def division(self) -> str:
        """Six digits (GB/T 2260) of where the number was first given; advisory."""
        return self.text[:6]

    @property
    def birth(self) -> date:
        return date(int(self.text[6:10]), int(self.text[10:12]), int(self.text[12:14]))

    def __repr__(self) -> str:
        return "ResidentId(...)"


def check_character(first_17: str) -> str:
    """The last character that belongs to the 17 digits before it (ISO 7064 MOD 11-2)."""
    return _CHECK[sum(int(digit) * weight for digit, weight in zip(first_17, _WEIGHTS, strict=True)) % 11]


def parse(text: str) -> ResidentId:
    """Read a number as typed; spaces do not matter, and a small `x` is taken for `X`.

    Raises:
        BadResidentId: for another length, a wrong check character or a date that does not exist.
    """
    number = "".join(text.split()).upper()
    body = number[:-1]
    if len(number) != LENGTH or not (body.isascii() and body.isdigit()):
        raise BadResidentId(f"an identity number has {LENGTH} characters: 17 digits, then a digit or X")
    if number[-1] != check_character(body):
        raise BadResidentId("the identity number's last character does not fit the others: a digit is wrong")
    found = ResidentId(number)
    try:
        found.birth  # noqa: B018 (a date that does not exist raises)
    except ValueError as error:
        raise BadResidentId("the identity number's date of birth does not exist") from error
    return found
