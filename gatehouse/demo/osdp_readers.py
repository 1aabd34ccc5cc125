"""Card readers that are played: `libosdp` peripheral devices on pseudo-terminals, with real OSDP bytes on the line.

    python -m gatehouse.demo.osdp_readers --plan plan.json

Readers of one `link` share a line (a pseudo-terminal whose path `link` points at). With `pacing` the player presents
cards by itself: known ones, now and then an unknown one or a press of the exit button; when the strike lets go,
somebody opens the door and it falls shut again. In any case it does what JSON lines on standard input say:

    {"do": "card", "reader": "r1", "text": "w26:12:345"}       or "hex" and "bits" for what no format has
    {"do": "contact", "reader": "r1", "open": true}             {"do": "rex", "reader": "r1"}
    {"do": "tamper", "reader": "r1", "active": true}            {"do": "silence", "reader": "r1", "on": true}
    {"do": "corrupt", "reader": "r1", "rate": 0.01}             a share of its replies has one bit flipped

and tells on standard output what it saw: {"saw": "ready" | "secure" | "presented" | "output" | "led" | "buzzer" | ...},
with `t`, monotonic seconds. Ends when standard input does (unless that is /dev/null), or on SIGTERM. Used by the demo
and, under the same interface, by the tests; never by a gateway.
"""

import argparse
import contextlib
import json
import os
import random
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any

import osdp

from gatehouse.demo.played_line import PtyLine, Tap
from gatehouse.demo.played_plan import Pacing, Plan, PlayedReader
from protocols.cards import encode_bytes, parse_text

TICK_S = 0.004
_REX_S = 0.3
_OUTPUT_ON = frozenset({2, 4, 5})
_OUTPUT_TIMED = 5


class Peer:
    """One played reader: a libosdp peripheral device with its contacts, outputs and switches."""

    def __init__(self, plan: PlayedReader, tap: Tap, saw: Callable[[dict[str, Any]], None]) -> None:
        self.plan, self.tap = plan, tap
        self.silent = False
        self.secure = False
        self._tampered = False
        self._saw = saw
        self._seen: deque[dict[str, Any]] = deque()
        self._inputs = [False] * (1 + max(plan.contact_input or 0, plan.exit_input or 0))
        self._outputs_end_s: dict[int, float | None] = {}
        self._device = osdp.PeripheralDevice(
            osdp.PDInfo(plan.address, tap, scbk=bytes.fromhex(plan.scbk_hex), flags=[osdp.LibFlag.EnforceSecure]),
            _capabilities(len(self._inputs)),
            log_level=osdp.LogLevel.Alert,
            command_handler=self._on_command,
        )

    def work(self, now_s: float) -> None:
        """Let the library work, and tell what came of it."""
        if self.silent:
            self.tap.flush()
            return
        self._device.ctx.refresh()
        while self._device.command_queue.qsize():
            self._device.command_queue.get()  # the library keeps a copy of each
        was_secure, self.secure = self.secure, bool(self._device.ctx.is_sc_active())
        if self.secure != was_secure:
            self._saw({"saw": "secure", "reader": self.plan.id, "active": self.secure})
        if self.secure and not was_secure:
            self._report_inputs()
            if self._tampered:  # to the poll for it the library answers that all is well
                self.set_tamper(True)
        while self._seen:
            self._obey(self._seen.popleft(), now_s)
        for output, end_s in list(self._outputs_end_s.items()):
            if end_s is not None and now_s >= end_s:
                self._set_output(output, False, None)

    def output(self, number: int) -> bool:
        return number in self._outputs_end_s

    def present(self, data: bytes, bits: int) -> None:
        card = {"reader_no": 0, "format": osdp.CardFormat.Wiegand, "direction": 0, "length": bits, "data": data}
        self._device.ctx.submit_event({"event": osdp.Event.CardRead, **card})

    def set_input(self, number: int | None, active: bool) -> None:
        if number is not None and self._inputs[number] != active:
            self._inputs[number] = active
            self._report_inputs()

    def set_tamper(self, active: bool) -> None:
        self._tampered = active
        report = {"type": osdp.StatusReportType.Local, "report": bytes([active, 0])}
        self._device.ctx.submit_event({"event": osdp.Event.Status, **report})

    def _report_inputs(self) -> None:
        report = {"type": osdp.StatusReportType.Input, "report": bytes(self._inputs)}
        self._device.ctx.submit_event({"event": osdp.Event.Status, **report})

    def _on_command(self, command: dict[str, Any]) -> tuple[int, None]:
        self._seen.append(command)  # only noted: this runs inside the library's refresh
        return 0, None

    def _obey(self, command: dict[str, Any], now_s: float) -> None:
        kind = command["command"]
        if kind == osdp.Command.Output:
            code = command["control_code"]
            end_s = now_s + command["timer_count"] / 10 if code == _OUTPUT_TIMED else None
            self._set_output(command["output_no"], code in _OUTPUT_ON, end_s)
        elif kind == osdp.Command.LED:
            self._saw({"saw": "led", "reader": self.plan.id, "colour": command["on_color"]})
        elif kind == osdp.Command.Buzzer:
            self._saw({"saw": "buzzer", "reader": self.plan.id, "beeps": command["rep_count"]})

    def _set_output(self, output: int, on: bool, end_s: float | None) -> None:
        if on:
            self._outputs_end_s[output] = end_s
        else:
            self._outputs_end_s.pop(output, None)
        self._saw({"saw": "output", "reader": self.plan.id, "output": output, "on": on})


def _capabilities(inputs: int) -> osdp.PDCapabilities:
    return osdp.PDCapabilities(
        [
            (osdp.Capability.OutputControl, 3, 2),
            (osdp.Capability.LEDControl, 1, 1),
            (osdp.Capability.AudibleControl, 1, 1),
            (osdp.Capability.ContactStatusMonitoring, 1, inputs),
            (osdp.Capability.CommunicationSecurity, 1, 1),
            (osdp.Capability.Readers, 1, 1),
        ]
    )


class Stage:
    """Every line and reader, what is due when, and the two streams of JSON lines."""

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self._plan, self._say = plan, say
        self._chance = random.Random(plan.seed)  # noqa: S311 - a played day is to be repeatable, not secret
        self._due: list[tuple[float, Callable[[], None]]] = []
        links = dict.fromkeys(reader.link for reader in plan.readers)
        self._lines = {link: PtyLine(number, link) for number, link in enumerate(links, 1)}
        self._peers: dict[str, Peer] = {}
        for reader in plan.readers:
            line = self._lines[reader.link]
            tap = Tap(line, self._chance)
            line.taps.append(tap)
            self._peers[reader.id] = Peer(reader, tap, self._saw)
        self._walking: set[str] = set()

    @property
    def lines(self) -> Iterable[PtyLine]:
        return self._lines.values()

    def begin(self) -> None:
        """Say that every line can be opened, and begin the played day."""
        self._saw({"saw": "ready", "readers": list(self._peers)})
        if self._plan.pacing is not None:
            for peer in self._peers.values():
                self._next_card(peer, self._plan.pacing)

    def work(self) -> None:
        """One turn of everything."""
        for line in self._lines.values():
            line.pump()
        now_s = time.monotonic()
        for peer in self._peers.values():
            peer.work(now_s)
            if self._plan.pacing is not None:
                self._walk(peer, self._plan.pacing)
        ready = [act for due_s, act in self._due if due_s <= now_s]
        self._due = [entry for entry in self._due if entry[0] > now_s]
        for act in ready:
            act()

    def obey(self, order: dict[str, Any]) -> None:
        """Do what a line on standard input says.

        Raises:
            KeyError, ValueError: if it is not an order.
        """
        peer = self._peers[order["reader"]]
        match order["do"]:
            case "card" if "hex" in order:
                self._present(peer, order["hex"], bytes.fromhex(order["hex"]), order["bits"])
            case "card":
                self._present_text(peer, order["text"])
            case "contact":
                peer.set_input(peer.plan.contact_input, order["open"])
            case "rex":
                self._press(peer)
            case "tamper":
                peer.set_tamper(order["active"])
            case "silence":
                peer.silent = order["on"]
            case "corrupt":
                peer.tap.corrupt_rate = order["rate"]
            case other:
                raise ValueError(f"{other!r} is not an order")

    def close(self) -> None:
        for line in self._lines.values():
            line.close()

    def _saw(self, what: dict[str, Any]) -> None:
        self._say(json.dumps({**what, "t": time.monotonic()}))

    def _after(self, delay_s: float, act: Callable[[], None]) -> None:
        self._due.append((time.monotonic() + delay_s, act))

    def _varied(self, mean_s: float) -> float:
        return mean_s * self._chance.uniform(0.5, 1.5)

    def _next_card(self, peer: Peer, pacing: Pacing) -> None:
        self._after(self._varied(pacing.card_every_s), lambda: self._somebody_comes(peer, pacing))

    def _somebody_comes(self, peer: Peer, pacing: Pacing) -> None:
        self._next_card(peer, pacing)
        lot = self._chance.random()
        if peer.plan.id in self._walking or not peer.secure:
            return  # the door is in use, or the reader is not connected
        if peer.plan.unknown_cards and lot < pacing.unknown_share:
            self._present_text(peer, self._chance.choice(peer.plan.unknown_cards))
        elif peer.plan.exit_input is not None and lot < pacing.unknown_share + pacing.exit_share:
            self._press(peer)
        elif peer.plan.cards:
            self._present_text(peer, self._chance.choice(peer.plan.cards))

    def _walk(self, peer: Peer, pacing: Pacing) -> None:
        """Somebody opens a door that has been let go, and it falls shut again."""
        strike = peer.plan.strike_output
        if strike is None or peer.plan.id in self._walking or not peer.output(strike):
            return
        self._walking.add(peer.plan.id)
        opens_s = self._varied(pacing.walk_s)
        closes_s = opens_s + self._varied(pacing.open_s)
        self._after(opens_s, lambda: peer.set_input(peer.plan.contact_input, True))
        self._after(closes_s, lambda: peer.set_input(peer.plan.contact_input, False))
        self._after(closes_s + pacing.walk_s, lambda: self._walking.discard(peer.plan.id))

    def _press(self, peer: Peer) -> None:
        self._saw({"saw": "pressed", "reader": peer.plan.id})
        peer.set_input(peer.plan.exit_input, True)
        self._after(_REX_S, lambda: peer.set_input(peer.plan.exit_input, False))

    def _present_text(self, peer: Peer, text: str) -> None:
        card = parse_text(text)
        self._present(peer, text, encode_bytes(card), card.bit_count)

    def _present(self, peer: Peer, text: str, data: bytes, bits: int) -> None:
        peer.present(data, bits)
        self._saw({"saw": "presented", "reader": peer.plan.id, "text": text})
        if self._plan.log is not None:
            entry = {"reader": peer.plan.id, "text": text, "wall_s": time.time(), "monotonic_s": time.monotonic()}
            with self._plan.log.open("a", encoding="utf-8") as log:
                log.write(json.dumps(entry) + "\n")


class _Orders:
    """Cuts standard input into orders; its end is the end of the play, unless it was /dev/null to begin with."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._rest = descriptor, b""
        self.ended = False
        self.come = os.fstat(descriptor).st_rdev != Path(os.devnull).stat().st_rdev

    def fileno(self) -> int:
        return self._descriptor

    def take(self) -> list[dict[str, Any]]:
        data = os.read(self._descriptor, 65536)
        self.ended = not data
        *whole, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in whole if line.strip()]


def _print_line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def play(plan: Plan, orders: int, say: Callable[[str], None] = _print_line) -> None:
    """Play until standard input ends or SIGTERM comes."""
    stopping = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    stage, given = Stage(plan, say), _Orders(orders)
    try:
        stage.begin()
        while not (stopping or given.ended):
            waiting: list[_Orders | PtyLine] = [*([given] if given.come else []), *stage.lines]
            ready, _, _ = select.select(waiting, [], [], TICK_S)
            if given in ready:
                for order in given.take():
                    stage.obey(order)
            stage.work()
    finally:
        stage.close()


def main() -> None:
    """Read the plan and play it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", type=Path, required=True, help="JSON file: readers, pacing, log, seed")
    arguments = parser.parse_args()
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        play(Plan.model_validate_json(arguments.plan.read_bytes()), sys.stdin.fileno())


if __name__ == "__main__":
    main()
