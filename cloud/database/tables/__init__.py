"""Every table of the hub. Changes come with a migration in `../versions/`.

There is no column for ethnicity, religion or belief, nor for a score of a person, and none may be added. Personal
fields named `*_sealed` are encrypted by `cloud.vault`; `*_index` is a keyed hash that finds a sealed value again.
Moments are microseconds since the epoch (`types.Moment`). Intervals of validity include `since` and exclude `until`.
"""

from cloud.database.tables.accounts import Account, AccountRole, AuditEntry, LoginSession
from cloud.database.tables.base import Base
from cloud.database.tables.doors import (
    AccessPass,
    AccessPassDoor,
    Area,
    DoorRule,
    LeaseGrace,
    LeaseWarning,
    Lockdown,
    Reader,
)
from cloud.database.tables.events import Clip, DeadLetter, DeviceState, EventRecord, Picture, StreamCursor
from cloud.database.tables.gateways import (
    CommandRecord,
    CredentialChange,
    EnrolmentCode,
    Gateway,
    GatewayCredentialRow,
    GatewayCredentials,
    RegisterChange,
)
from cloud.database.tables.linking import LinkCorrection, Relinking
from cloud.database.tables.organisation import Division, Grid, GridPlace, Household, JointUnit, JointUnitPlace
from cloud.database.tables.register import (
    Credential,
    CredentialGroup,
    Door,
    DoorGroup,
    DoorGroupDoor,
    Person,
    Place,
    PlaceKind,
    Residency,
    ResidencyRole,
    Schedule,
    SpecialDay,
)

__all__ = [
    "AccessPass",
    "AccessPassDoor",
    "Account",
    "AccountRole",
    "Area",
    "AuditEntry",
    "Base",
    "Clip",
    "CommandRecord",
    "Credential",
    "CredentialChange",
    "CredentialGroup",
    "DeadLetter",
    "DeviceState",
    "Division",
    "Door",
    "DoorGroup",
    "DoorGroupDoor",
    "DoorRule",
    "EnrolmentCode",
    "EventRecord",
    "Gateway",
    "GatewayCredentialRow",
    "GatewayCredentials",
    "Grid",
    "GridPlace",
    "Household",
    "JointUnit",
    "JointUnitPlace",
    "LeaseGrace",
    "LeaseWarning",
    "LinkCorrection",
    "Lockdown",
    "LoginSession",
    "Person",
    "Picture",
    "Place",
    "PlaceKind",
    "Reader",
    "RegisterChange",
    "Relinking",
    "Residency",
    "ResidencyRole",
    "Schedule",
    "SpecialDay",
    "StreamCursor",
]
