"""Where a cause lies: its community, its grid, and for a gateway the place that holds all its doors. Only reads."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, or_, select

from cloud.database.tables import Door, GridPlace, Place, PlaceKind
from cloud.register.paths import SEGMENT_BYTES

_AREAS = (PlaceKind.COMMUNITY, PlaceKind.COMPOUND)
_SITES = (PlaceKind.COMPOUND, PlaceKind.COMMUNITY)


class Places:
    """Looks places up and remembers them: make one for each transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._above: dict[UUID, dict[PlaceKind, UUID]] = {}
        self._gateways: dict[str, UUID | None] = {}

    def area(self, place: UUID | None) -> UUID | None:
        """The community that a place lies in, else the compound: whose operators its alarms reach."""
        return self._first(place, _AREAS)

    def site(self, place: UUID | None) -> UUID | None:
        """The compound that a place lies in, else the community: what is within a few minutes' walk."""
        return self._first(place, _SITES)

    def of_gateway(self, gateway: str) -> UUID | None:
        """The lowest place that holds every door of a gateway."""
        if gateway not in self._gateways:
            query = select(Place.path).join(Door, Door.place_id == Place.id).where(Door.gateway_id == gateway)
            paths = list(self._connection.execute(query).scalars())
            self._gateways[gateway] = self._holding(paths) if paths else None
        return self._gateways[gateway]

    def grid(self, place: UUID | None, at: datetime) -> UUID | None:
        """The grid that a place lay in."""
        if place is None:
            return None
        then = (GridPlace.since <= at, or_(GridPlace.until.is_(None), GridPlace.until > at))
        query = select(GridPlace.grid_id).where(GridPlace.place_id == place, *then)
        return self._connection.execute(query).scalar()

    def _holding(self, paths: list[bytes]) -> UUID | None:
        first, last = min(paths), max(paths)
        ends = range(SEGMENT_BYTES, min(len(first), len(last)) + 1, SEGMENT_BYTES)
        path = max((first[:end] for end in ends if first[:end] == last[:end]), key=len, default=b"")
        return self._connection.execute(select(Place.id).where(Place.path == path)).scalar()

    def _first(self, place: UUID | None, kinds: tuple[PlaceKind, ...]) -> UUID | None:
        if place is None:
            return None
        above = self._above.get(place)
        if above is None:
            above = self._above[place] = self._read(place)
        return next((above[kind] for kind in kinds if kind in above), None)

    def _read(self, place: UUID) -> dict[PlaceKind, UUID]:
        """The lowest place of each kind that holds it, itself included."""
        path = self._connection.execute(select(Place.path).where(Place.id == place)).scalar()
        if path is None:
            return {}
        paths = [path[:end] for end in range(SEGMENT_BYTES, len(path) + 1, SEGMENT_BYTES)]
        rows = self._connection.execute(select(Place.kind, Place.id).where(Place.path.in_(paths)).order_by(Place.path))
        return {PlaceKind(kind): identifier for kind, identifier in rows}
