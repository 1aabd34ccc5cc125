"""The documentation lists every reason, in its order."""

import re
from pathlib import Path

from protocols.access_events import DenialReason, GrantReason

TEXT = (Path(__file__).parents[3] / "docs" / "doors" / "deciding.md").read_text(encoding="utf-8")


def codes_under(heading: str) -> list[str]:
    """The codes in the first column of the table with this heading."""
    table = TEXT.split(f"| {heading} | when |\n|---|---|\n")[1].split("\n\n")[0]
    return re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)


def test_every_reason_of_a_denial_is_explained_in_its_order() -> None:
    assert codes_under("reason") == [reason.value for reason in DenialReason]


def test_every_reason_of_a_grant_is_explained() -> None:
    assert codes_under("granted as") == [reason.value for reason in GrantReason]
