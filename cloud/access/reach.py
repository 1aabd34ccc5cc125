"""What an account reaches just now: its scope, and the moment at which people live where they live."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, and_, not_, select, true

from cloud.accounts.scope import WHOLE, IdColumn, Scope
from cloud.database.tables import CredentialGroup, Door, DoorGroup, DoorGroupDoor, Person
from cloud.register.credentials import set_groups


@dataclass(frozen=True)
class Reach:
    """Conditions in the query for what concerns people: credentials, passes and the groups that are granted."""

    scope: Scope
    now: datetime

    def covers(self, person_id: IdColumn) -> ColumnElement[bool]:
        """On a column of person ids."""
        return self.scope.covers_person(person_id, self.now)

    @property
    def person(self) -> ColumnElement[bool]:
        """On `Person`."""
        return self.covers(Person.id)

    @property
    def door(self) -> ColumnElement[bool]:
        """On `Door`."""
        return self.scope.covers_place(Door.place_id)

    @property
    def group_shown(self) -> ColumnElement[bool]:
        """On `DoorGroup`: one of its doors is covered."""
        return true() if self.scope.is_whole else DoorGroup.code.in_(_holding(self.door))

    @property
    def group_given(self) -> ColumnElement[bool]:
        """On `DoorGroup`: all of its doors are; nobody grants doors beyond his part of the hub."""
        if self.scope.is_whole:
            return true()
        return and_(self.group_shown, DoorGroup.code.not_in(_holding(not_(self.door))))

    def shown_groups(self, connection: Connection, credential: UUID) -> tuple[str, ...]:
        """The groups of a credential, those that are shown."""
        query = _groups_of(credential).where(self.group_shown)
        return tuple(connection.execute(query.order_by(DoorGroup.code)).scalars())

    def set_groups(self, connection: Connection, credential: UUID, groups: Collection[str]) -> None:
        """Give a credential exactly these groups, beside those that are not this reach's to give or take."""
        mine = set(connection.execute(_groups_of(credential).where(self.group_given)).scalars())
        every = set(connection.execute(_groups_of(credential)).scalars())
        set_groups(connection, credential, frozenset(groups) | (every - mine))


EVERYWHERE = Reach(WHOLE, datetime.fromtimestamp(0, UTC))


def _holding(door: ColumnElement[bool]) -> Select[str]:
    members = select(DoorGroupDoor.group_code).join(Door, Door.id == DoorGroupDoor.door_id)
    return members.where(door)


def _groups_of(credential: UUID) -> Select[str]:
    query = select(DoorGroup.code).join(CredentialGroup, CredentialGroup.group_code == DoorGroup.code)
    return query.where(CredentialGroup.credential_id == credential)
