"""Number plates as both sides spell them (GA 36-2018): a province, a letter, then five characters, or six of a
new-energy vehicle; no I and no O."""

import re

from protocols.base import ProtocolError

_PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_SUFFIXES = "学警挂港澳领使"
_LETTER, _ANY = "[A-HJ-NP-Z]", "[A-HJ-NP-Z0-9]"
_ENERGY = "[A-HJK]"
"""A to E: electric alone; F to K: not alone."""
_ORDINARY = rf"{_ANY}{{4}}[A-HJ-NP-Z0-9{_SUFFIXES}]"
_NEW_ENERGY = rf"{_ENERGY}{_ANY}[0-9]{{4}}|[0-9]{{5}}{_ENERGY}"
"""Of a small vehicle; of a large one."""
_PLATE = re.compile(rf"[{_PROVINCES}]{_LETTER}(?:{_ORDINARY}|{_NEW_ENERGY})")
_SILENT = re.compile(r"[\s·•.\-]")


class BadPlate(ProtocolError):
    """Not a plate of the mainland."""


def normal_plate(text: str) -> str:
    """A plate without separators and in capitals, such as 贵G12345 or 贵GD12345.

    Raises:
        BadPlate: if it is none.
    """
    plate = _SILENT.sub("", text[:32]).upper()
    if _PLATE.fullmatch(plate) is None:
        raise BadPlate(
            "a plate is a province, a letter and five characters, or six of a new-energy vehicle: 贵G12345, 贵GD12345"
        )
    return plate


def plate_text(plate: str) -> str:
    """What the keyed hash of a plate is made of.

    Raises:
        BadPlate: if it is none.
    """
    return f"plate:{normal_plate(plate)}"
