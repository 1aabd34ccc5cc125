"""Every table of the hub. Changes come with a migration in `../versions/`.

There is no column for ethnicity, religion or belief, nor for a score of a person, and none may be added. Personal
fields named `*_sealed` are encrypted by `cloud.vault`; `*_index` is a keyed hash that finds a sealed value again.
Moments are microseconds since the epoch (`types.Moment`). Intervals of validity include `since` and exclude `until`.
"""

from cloud.database.tables.accounts import (
    Account,
    AccountRole,
    AccountSubject,
    ApiToken,
    AuditEntry,
    LoginSession,
    RecoveryCode,
    SecondFactor,
)
from cloud.database.tables.alarms import (
    Alarm,
    AlarmCandidate,
    AlarmFlood,
    AlarmStep,
    AlarmTold,
    CareAgreement,
    EventMark,
    RuleEventType,
    RuleVersion,
)
from cloud.database.tables.base import Base
from cloud.database.tables.categories import CategoryWarning, ServiceCategory
from cloud.database.tables.disclosure import AuditSubject, HistoryLook
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
from cloud.database.tables.duty import (
    AccountPerson,
    Centre,
    CentrePost,
    DutyException,
    DutyRosterName,
    DutyRosterVersion,
    Handover,
    HandoverAcceptance,
)
from cloud.database.tables.events import Clip, DeadLetter, DeviceState, EventRecord, Picture, StreamCursor
from cloud.database.tables.evidence import AlarmEvidence
from cloud.database.tables.gateways import (
    CommandRecord,
    CredentialChange,
    EnrolmentCode,
    Gateway,
    GatewayCredentialRow,
    GatewayCredentials,
    RegisterChange,
)
from cloud.database.tables.history import RegisterHistory, VaultState
from cloud.database.tables.linking import LinkCorrection, Relinking
from cloud.database.tables.matters import Matter, MatterNumber, WorkOrder
from cloud.database.tables.notify import Notice, NoticeAttempt, NoticeChannel, NoticeMessage
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
from cloud.database.tables.residents import Contact, Guest, Lease, Vehicle
from cloud.database.tables.staff import Post, PostKind
from cloud.database.tables.subjects import PersonHold, SubjectRequest

__all__ = [
    "AccessPass",
    "AccessPassDoor",
    "Account",
    "AccountPerson",
    "AccountRole",
    "AccountSubject",
    "Alarm",
    "AlarmCandidate",
    "AlarmEvidence",
    "AlarmFlood",
    "AlarmStep",
    "AlarmTold",
    "ApiToken",
    "Area",
    "AuditEntry",
    "AuditSubject",
    "Base",
    "CareAgreement",
    "CategoryWarning",
    "Centre",
    "CentrePost",
    "Clip",
    "CommandRecord",
    "Contact",
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
    "DutyException",
    "DutyRosterName",
    "DutyRosterVersion",
    "EnrolmentCode",
    "EventMark",
    "EventRecord",
    "Gateway",
    "GatewayCredentialRow",
    "GatewayCredentials",
    "Grid",
    "GridPlace",
    "Guest",
    "Handover",
    "HandoverAcceptance",
    "HistoryLook",
    "Household",
    "JointUnit",
    "JointUnitPlace",
    "Lease",
    "LeaseGrace",
    "LeaseWarning",
    "LinkCorrection",
    "Lockdown",
    "LoginSession",
    "Matter",
    "MatterNumber",
    "Notice",
    "NoticeAttempt",
    "NoticeChannel",
    "NoticeMessage",
    "Person",
    "PersonHold",
    "Picture",
    "Place",
    "PlaceKind",
    "Post",
    "PostKind",
    "Reader",
    "RecoveryCode",
    "RegisterChange",
    "RegisterHistory",
    "Relinking",
    "Residency",
    "ResidencyRole",
    "RuleEventType",
    "RuleVersion",
    "Schedule",
    "SecondFactor",
    "ServiceCategory",
    "SpecialDay",
    "StreamCursor",
    "SubjectRequest",
    "VaultState",
    "Vehicle",
    "WorkOrder",
]
