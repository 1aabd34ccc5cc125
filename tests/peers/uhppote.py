"""A UHPPOTE board of two or four doors: 64-byte packets over real UDP and TCP sockets, written from the protocol.

`make demo` plays the same board, and the demo imports nothing of the tests: so it is kept there, and found here.
"""

from gatehouse.demo.played_board import FakeBoard, StoredCard, StoredProfile, bcd

__all__ = ["FakeBoard", "StoredCard", "StoredProfile", "bcd"]
