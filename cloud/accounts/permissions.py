"""What each role may do: one table. Where it may do it is `cloud.accounts.scope`'s.

A role holds what its daily work needs. Who runs the hub does not thereby see more of people than others: an
administrator cannot lift a mask or read a person's history, and an auditor reads who did what and does nothing.
"""

from collections.abc import Mapping
from enum import StrEnum

from cloud.database.tables import AccountRole


class Permission(StrEnum):
    """What a route asks for."""

    WATCH = "watch"
    """The live list, the door board, the gateways' presence; how doors, areas, groups and weeks are set."""
    LOOK = "look"
    """Pictures, clips and live video."""
    OPERATE = "operate"
    """Open, free and lock doors, forgive anti-passback."""
    LOCK_DOWN = "lock_down"
    """Ask for a lockdown, confirm another person's, end one."""
    SEE_PASSES = "see_passes"
    SEE_NOTICES = "see_notices"
    """Leases that end, with masked names, and the mark that one was dealt with."""
    SEE_PEOPLE = "see_people"
    """Who lives where and what they hold, masked."""
    GIVE = "give"
    """Give, change and revoke credentials and passes."""
    SET_DOORS = "set_doors"
    """Change doors, their rules and readers; with the whole hub also groups, areas, weeks, holidays and grace."""
    SEE_ALARMS = "see_alarms"
    """The queue, each alarm's steps, the figures."""
    HANDLE_ALARMS = "handle_alarms"
    """Acknowledge, begin, note, pass up, shelve, close."""
    SEE_MATTERS = "see_matters"
    """What was reported, beside the alarms; the reporter masked."""
    ENTER_MATTERS = "enter_matters"
    """Enter a matter, pass one to another place or grid."""
    GIVE_ORDERS = "give_orders"
    """Give a grid member a work order, and withdraw it."""
    SEE_DUTY = "see_duty"
    """The centres, their rosters, who is on duty, handovers."""
    SET_DUTY = "set_duty"
    """Set up centres, say who works there, write rosters."""
    SEE_RULES = "see_rules"
    SET_RULES = "set_rules"
    """With the whole hub: write the rules that raise alarms."""
    HOLD_EVIDENCE = "hold_evidence"
    REVEAL = "reveal"
    """See a name, a phone number or the end of an ID number unmasked, for a stated purpose."""
    READ_HISTORY = "read_history"
    """See where a person went, for a purpose and a case."""
    EXPORT_REGISTER = "export_register"
    """Have the register of one's part as a file, masked; or as it is, for a stated purpose."""
    ANSWER_REQUESTS = "answer_requests"
    """Hand a person all that the hub holds of him, or erase it, with another account's consent."""
    CATEGORIES = "categories"
    """Look up, make, review and end service categories, for a stated purpose."""
    READ_AUDIT = "read_audit"
    READ_METRICS = "read_metrics"
    END_SESSIONS = "end_sessions"
    """See where other accounts of one's part are logged in, and end it."""


_DESK = {
    Permission.WATCH,
    Permission.SEE_PASSES,
    Permission.SEE_NOTICES,
    Permission.SEE_ALARMS,
    Permission.HANDLE_ALARMS,
    Permission.SEE_DUTY,
    Permission.SEE_RULES,
}
_POST = _DESK | {Permission.LOOK, Permission.OPERATE, Permission.LOCK_DOWN}
_WINDOW = {Permission.SEE_PEOPLE, Permission.SEE_MATTERS, Permission.ENTER_MATTERS}
_CENTRE = _POST | _WINDOW | {Permission.REVEAL, Permission.GIVE_ORDERS, Permission.SET_DUTY}

PERMISSIONS: Mapping[AccountRole, frozenset[Permission]] = {
    AccountRole.GUARD: frozenset(_POST),
    AccountRole.GRID_MEMBER: frozenset(_DESK | _WINDOW),
    AccountRole.COMMUNITY: frozenset(_CENTRE),
    AccountRole.TOWNSHIP: frozenset(_CENTRE | {Permission.READ_HISTORY}),
    AccountRole.DISTRICT: frozenset(
        _CENTRE | {Permission.READ_HISTORY, Permission.HOLD_EVIDENCE, Permission.ANSWER_REQUESTS}
    ),
    AccountRole.REGISTRAR: frozenset(
        {
            Permission.SEE_PASSES,
            Permission.SEE_NOTICES,
            Permission.SEE_PEOPLE,
            Permission.GIVE,
            Permission.REVEAL,
            Permission.ANSWER_REQUESTS,
            Permission.EXPORT_REGISTER,
        }
    ),
    AccountRole.CATEGORY_OFFICER: frozenset({Permission.SEE_PEOPLE, Permission.REVEAL, Permission.CATEGORIES}),
    AccountRole.AUDITOR: frozenset({Permission.READ_AUDIT}),
    AccountRole.ADMINISTRATOR: frozenset(
        _POST
        | {
            Permission.SEE_PEOPLE,
            Permission.GIVE,
            Permission.SET_DOORS,
            Permission.SET_RULES,
            Permission.SET_DUTY,
            Permission.HOLD_EVIDENCE,
            Permission.READ_METRICS,
            Permission.END_SESSIONS,
        }
    ),
}
