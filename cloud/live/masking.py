"""How a person and a dwelling are shown to a guard."""

from collections.abc import Sequence

_COMPOUND_TEXT = "欧阳司马上官诸葛东方皇甫尉迟公孙慕容令狐司徒夏侯宇文长孙端木独孤南宫西门轩辕司空"
_COMPOUND_SURNAMES = frozenset(_COMPOUND_TEXT[i : i + 2] for i in range(0, len(_COMPOUND_TEXT), 2))


def masked_name(name: str) -> str:
    """`张伟` -> `张*`, `欧阳娜娜` -> `欧阳*`, `Li Na` -> `L*`: the star hides the length too."""
    name = name.strip()
    surname = name[:2] if name[:2] in _COMPOUND_SURNAMES and len(name) > 2 else name[:1]
    return f"{surname}*"


def dwelling_text(names: Sequence[str | None]) -> str | None:
    """The names from the building down to the dwelling, without what a lower name repeats: `3栋 2单元 501`."""
    known = [name for name in names if name]
    shown = [name for i, name in enumerate(known) if i + 1 == len(known) or not known[i + 1].startswith(name)]
    return " ".join(shown) or None
