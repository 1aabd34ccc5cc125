"""The marks of changes that the database's triggers and enrolment leave (`cloud.database.tables.RegisterChange`)."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, Sequence, delete, func, insert, literal, select

from cloud.database.engine import Database
from cloud.database.tables import RegisterChange

MAX_SINGLE = 2000
"""More changed credentials than this are dealt with by compiling everything anew."""

MAX_READ = 20_000
"""More marks than this are not even read: an import leaves several for each of its credentials."""

_NUMBER = Sequence("register_change_number")


@dataclass(frozen=True)
class Changes:
    """What changed since the marks were taken last. `everything` stands for holidays, days of grace or too much.

    `gateways` are those whose whole set is to be compiled anew.
    """

    everything: bool = False
    credentials: frozenset[UUID] = frozenset()
    gateways: frozenset[str] = frozenset()


def leave_mark(connection: Connection, gateway: str) -> None:
    """Ask for a gateway's whole set to be compiled anew, within the caller's transaction."""
    if connection.dialect.name == "postgresql":
        mark = select(_NUMBER.next_value(), literal(gateway))
    else:
        mark = select(func.coalesce(func.max(RegisterChange.number), 0) + 1, literal(gateway))
    connection.execute(insert(RegisterChange).from_select(["number", "gateway_id"], mark))


def take_marks(database: Database) -> Changes:
    """Take every mark away that is there. What they stand for is lost with this process: start with everything."""
    with database.read() as connection:
        if connection.execute(select(RegisterChange.number).limit(1)).first() is None:
            return Changes()
    taken = delete(RegisterChange).returning(RegisterChange.credential_id, RegisterChange.gateway_id)
    with database.write() as connection:
        if connection.execute(select(func.count()).select_from(RegisterChange)).scalar_one() > MAX_READ:
            connection.execute(delete(RegisterChange))
            return Changes(everything=True)
        marks = connection.execute(taken).all()
    credentials = frozenset(credential for credential, _ in marks if credential is not None)
    gateways = frozenset(gateway for _, gateway in marks if gateway is not None)
    if len(credentials) > MAX_SINGLE or (None, None) in [tuple(mark) for mark in marks]:
        return Changes(everything=True)
    return Changes(credentials=credentials, gateways=gateways)
