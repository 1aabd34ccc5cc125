"""Whether a picture or clip is within an account's scope: by its gateway, or by an event that it belongs to."""

from uuid import UUID

from sqlalchemy import and_, or_, select

from cloud.accounts.scope import Scope
from cloud.database.engine import Database
from cloud.database.tables import Clip, EventRecord, Picture


def is_shown(
    database: Database, kind: type[Picture] | type[Clip], sha256: str, within: Scope, event: UUID | None
) -> bool:
    """Whether it is shown within a scope.

    It is when all doors of its gateway are within the scope. Where a gateway serves several parts of the hub, `event`
    has to name an event of that gateway which is within the scope and tells of this very file; an event of long ago
    too, as who knows the file's hash has been shown the row, perhaps for a purpose.

    Args:
        sha256: 64 hex digits, which was checked.
    """
    if within.is_whole:
        return True
    of_event = and_(
        EventRecord.id == event,
        EventRecord.gateway_id == kind.gateway_id,
        EventRecord.body.contains(sha256),
        within.with_purpose().covers_event(),
    )
    shown = or_(within.holds_gateway(kind.gateway_id), select(EventRecord.id).where(of_event).exists())
    with database.read() as connection:
        return connection.execute(select(kind.sha256).where(kind.sha256 == sha256, shown)).first() is not None
