"""Whether a camera is within an account's scope. The register has no cameras: their events tell where they stand."""

from sqlalchemy import or_, select

from cloud.accounts.scope import Scope
from cloud.database.engine import Database
from cloud.database.tables import EventRecord, Gateway


def is_shown(database: Database, gateway: str, camera: str, within: Scope) -> bool:
    """Whether a camera is shown within a scope.

    It is when all doors of its gateway are within the scope, or the place of its latest event is.
    """
    if within.is_whole:
        return True
    latest = (
        select(EventRecord.place_id)
        .where(EventRecord.gateway_id == gateway, EventRecord.subject == camera, EventRecord.place_id.is_not(None))
        .order_by(EventRecord.time.desc())
        .limit(1)
        .subquery()
    )
    stands_within = select(latest.c.place_id).where(within.covers_place(latest.c.place_id)).exists()
    query = select(Gateway.id).where(Gateway.id == gateway, or_(within.holds_gateway(Gateway.id), stands_within))
    with database.read() as connection:
        return connection.execute(query).first() is not None
