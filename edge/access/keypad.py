"""What is being typed at one reader, and the card that waits there for its PIN. Times are monotonic seconds.

An entry ends with `#`, with its eighth digit, or when nothing was typed for `IDLE_S`; fewer than four digits that
nobody ended are thrown away. `*` clears it. Digits are never logged and never kept after their entry.
"""

import math

from edge.access.presentations import Card, CardAndPin, Number, Pin
from protocols.pins import MAX_DIGITS, MIN_DIGITS

IDLE_S = 5.0
PIN_AFTER_CARD_S = 10.0
"""How long a card waits for its PIN; somebody who still types is waited for."""
_MAX_KEYS = 32
"""Of one report: more than anybody types between two polls, so that a reader that babbles costs little."""

Entered = Pin | CardAndPin


class Keypad:
    """One reader's."""

    def __init__(self) -> None:
        self._digits = ""
        self._idle_at_s = math.inf
        self._card: Card | Number | None = None
        self._card_until_s = math.inf

    @property
    def deadline_s(self) -> float:
        """When `due` has something to do; infinity: never."""
        return min(self._idle_at_s, self._card_until_s)

    def wait_for_pin(self, card: Card | Number, now_s: float) -> None:
        """The PIN of this card is wanted next. What was typed before it does not count."""
        self._forget_digits()
        self._card, self._card_until_s = card, now_s + PIN_AFTER_CARD_S

    def take_card(self) -> CardAndPin | None:
        """Another card came: the one that waited got no PIN."""
        return self._with_card(None) if self._card is not None else None

    def press(self, keys: str, now_s: float) -> list[Entered]:
        """Take keys; whatever entries they complete."""
        entered: list[Entered] = []
        for key in keys[:_MAX_KEYS]:
            if key == "*":
                self._forget_digits()
            elif key == "#":
                entered += self._entry(1)
            elif key in "0123456789":
                self._digits += key
                if len(self._digits) == MAX_DIGITS:
                    entered += self._entry(1)
        self._idle_at_s = now_s + IDLE_S if self._digits else math.inf
        if self._card is not None and self._digits:
            self._card_until_s = max(self._card_until_s, self._idle_at_s)
        return entered

    def due(self, now_s: float) -> list[Entered]:
        """What the passing of time ends."""
        entered = self._entry(MIN_DIGITS) if now_s >= self._idle_at_s else []
        if self._card is not None and now_s >= self._card_until_s:
            entered.append(self._with_card(None))
        return entered

    def _entry(self, least: int) -> list[Entered]:
        digits = self._digits
        self._forget_digits()
        if len(digits) < least:
            return []
        return [Pin(digits) if self._card is None else self._with_card(digits)]

    def _with_card(self, digits: str | None) -> CardAndPin:
        card, self._card, self._card_until_s = self._card, None, math.inf
        if card is None:
            raise RuntimeError("no card waits for a PIN")
        return CardAndPin(card, digits)

    def _forget_digits(self) -> None:
        self._digits, self._idle_at_s = "", math.inf
