"""What a reader shows and sounds for each `Feedback`, as libosdp commands, by what the reader declared it can.

OSDP 2.2, tables 17 to 21. All lights are temporary: when their time ends the reader goes back to its own.
"""

from dataclasses import dataclass

import osdp

from edge.access.drivers.interface import Feedback

Command = dict[str, int | bool]

_TWO_COLOURS = 3
"""Compliance level of a light that has red and green but no amber."""

_BLACK, _AMBER = osdp.CommandLEDColor.Black, osdp.CommandLEDColor.Amber
_RED, _GREEN = osdp.CommandLEDColor.Red, osdp.CommandLEDColor.Green


@dataclass(frozen=True)
class _Signal:
    """A light of two colours in turn and a number of beeps; times in tenths of a second."""

    colour: int
    other_colour: int
    on: int
    off: int
    light: int
    beeps: int
    beep: int


_SIGNALS = {
    Feedback.GRANTED: _Signal(_GREEN, _BLACK, on=10, off=0, light=20, beeps=1, beep=1),
    Feedback.DENIED: _Signal(_RED, _BLACK, on=10, off=0, light=20, beeps=3, beep=1),
    Feedback.WAIT: _Signal(_AMBER, _BLACK, on=3, off=3, light=60, beeps=2, beep=1),
    Feedback.HELD_SOON: _Signal(_AMBER, _BLACK, on=2, off=2, light=100, beeps=5, beep=8),
}


def signal(feedback: Feedback, light_level: int, sound_level: int) -> list[Command]:
    """The commands for a reader that declared these compliance levels of its light and its sound; 0 is none."""
    meant = _SIGNALS[feedback]
    commands = []
    if light_level:
        commands.append(_light(meant, light_level))
    if sound_level:
        commands.append(_sound(meant))
    return commands


def _light(meant: _Signal, level: int) -> Command:
    colours = (meant.colour, meant.other_colour)
    if _AMBER in colours and level == _TWO_COLOURS:
        colours = (_RED, _GREEN)
    return {
        "command": osdp.Command.LED,
        "reader": 0,
        "led_number": 0,
        "temporary": True,
        "control_code": 2,
        "on_count": meant.on,
        "off_count": meant.off,
        "on_color": colours[0],
        "off_color": colours[1],
        "timer_count": meant.light,
    }


def _sound(meant: _Signal) -> Command:
    return {
        "command": osdp.Command.Buzzer,
        "reader": 0,
        "control_code": 2,
        "on_count": meant.beep,
        "off_count": min(meant.beep, 3),
        "rep_count": meant.beeps,
    }
