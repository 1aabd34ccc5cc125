"""Number plates as both sides spell them (GA 36): province character, letter, five or six characters; no I and no O."""

import re

from protocols.base import ProtocolError

_PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_SUFFIXES = "学警挂港澳领使"
_PLATE = re.compile(rf"[{_PROVINCES}][A-HJ-NP-Z][A-HJ-NP-Z0-9]{{4,5}}[A-HJ-NP-Z0-9{_SUFFIXES}]")
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
        raise BadPlate("a plate is a province, a letter and five or six characters, such as 贵G12345")
    return plate


def plate_text(plate: str) -> str:
    """What the keyed hash of a plate is made of.

    Raises:
        BadPlate: if it is none.
    """
    return f"plate:{normal_plate(plate)}"
