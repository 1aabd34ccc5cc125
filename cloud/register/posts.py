"""Who leads and walks a grid, who heads a joint-household unit, from when until when.

A grid has one leader, a unit one head, at a time: a new one ends the other's time. A unit has two deputies at the most;
a grid's members are as many as there are.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select

from cloud.database.tables import Post, PostKind
from cloud.register.belongings import draw
from cloud.register.change import Change
from cloud.register.errors import RegisterError
from cloud.register.intervals import Span
from cloud.register.writer import RegisterWriter

OF_GRIDS = (PostKind.GRID_LEADER, PostKind.GRID_MEMBER)
OF_ONE = (PostKind.GRID_LEADER, PostKind.UNIT_HEAD)
MOST_DEPUTIES = 2


@dataclass(frozen=True)
class PostEntry:
    """A person holds a post of a grid or unit, whose id is `of`, from `since` until `until`."""

    kind: PostKind
    of: UUID
    person: UUID
    since: datetime
    until: datetime | None = None


@dataclass
class _Held:
    id: UUID
    person: UUID
    since: datetime
    until: datetime | None

    def overlaps(self, other: PostEntry) -> bool:
        return (self.until is None or other.since < self.until) and (other.until is None or self.since < other.until)


class PostBatch:
    """`load` the grids and units, `put` each, `flush` the writer."""

    def __init__(self, writer: RegisterWriter) -> None:
        self._writer = writer
        self._held: defaultdict[tuple[PostKind, UUID], list[_Held]] = defaultdict(list)

    def load(self, of: set[UUID]) -> None:
        """Ask for the posts of these grids and units, and forget those asked for before."""
        self._held.clear()
        query = select(Post.__table__).where(or_(Post.grid_id.in_(of), Post.joint_unit_id.in_(of)))
        for row in self._writer.connection.execute(query.order_by(Post.since, Post.id)):
            held = _Held(row.id, row.person_id, row.since, row.until)
            self._held[PostKind(row.kind), row.grid_id or row.joint_unit_id].append(held)

    def put(self, entry: PostEntry) -> Change:
        """Give a post to a person; the one leader or head until then ends there.

        Raises:
            RegisterError: if it ends before it begins, or the times of others do not allow it.
        """
        if entry.until is not None and entry.until <= entry.since:
            raise RegisterError("until", "it ends before it begins", "correct one of the dates")
        held = self._held[entry.kind, entry.of]
        return self._put_only(held, entry) if entry.kind in OF_ONE else self._put_one_of_some(held, entry)

    def _put_only(self, held: list[_Held], entry: PostEntry) -> Change:
        by_since = {each.since: each for each in held}
        known = [Span(each.since, each.until, each.person) for each in sorted(held, key=lambda each: each.since)]
        changes = []
        for span in draw(known, Span(entry.since, entry.until, entry.person)):
            each = by_since.get(span.since)
            if each is None:
                changes.append(self._add(held, PostEntry(entry.kind, entry.of, span.value, span.since, span.until)))
            else:
                changes.append(self._change(each, {"person_id": span.value, "until": span.until}))
        return next((each for each in (Change.ADDED, Change.UPDATED) if each in changes), Change.UNCHANGED)

    def _put_one_of_some(self, held: list[_Held], entry: PostEntry) -> Change:
        same = next((each for each in held if (each.person, each.since) == (entry.person, entry.since)), None)
        others = [each for each in held if each is not same and each.overlaps(entry)]
        if any(each.person == entry.person for each in others):
            raise RegisterError("since", "the person holds this post already", "give that one an end first")
        if entry.kind is PostKind.UNIT_DEPUTY and _most_at_once(others, entry) >= MOST_DEPUTIES:
            raise RegisterError("since", f"the unit has {MOST_DEPUTIES} deputies in that time", "end one of them first")
        return self._add(held, entry) if same is None else self._change(same, {"until": entry.until})

    def _add(self, held: list[_Held], entry: PostEntry) -> Change:
        is_of_grid = entry.kind in OF_GRIDS
        values = {
            "id": self._writer.new_id(),
            "kind": entry.kind,
            "person_id": entry.person,
            "grid_id": entry.of if is_of_grid else None,
            "joint_unit_id": None if is_of_grid else entry.of,
            "since": entry.since,
            "until": entry.until,
        }
        self._writer.insert(Post, values)
        held.append(_Held(values["id"], entry.person, entry.since, entry.until))  # type: ignore[arg-type]
        return Change.ADDED

    def _change(self, held: _Held, wanted: dict[str, Any]) -> Change:
        now = {"person_id": held.person, "until": held.until}
        after = {name: value for name, value in wanted.items() if now[name] != value}
        if not after:
            return Change.UNCHANGED
        self._writer.update(Post, {"id": held.id}, {name: now[name] for name in after}, after)
        held.person, held.until = after.get("person_id", held.person), after.get("until", held.until)
        return Change.UPDATED


def _most_at_once(others: list[_Held], entry: PostEntry) -> int:
    """How many of these hold the post together at some moment of the entry's time."""
    moments = [max(each.since, entry.since) for each in others]
    return max(
        (sum(each.since <= at and (each.until is None or at < each.until) for each in others) for at in moments),
        default=0,
    )
