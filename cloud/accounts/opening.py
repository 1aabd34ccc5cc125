"""Accounts with this version's limits, for the hub and for the command line alike."""

import os
import time
from collections.abc import Callable
from datetime import datetime

from cloud.accounts.accounts import Accounts
from cloud.accounts.enrolment import Enrolments
from cloud.accounts.passwords import Passwords
from cloud.accounts.scope import Recent
from cloud.accounts.second_factor import SecondFactors
from cloud.accounts.sessions import SessionLimits, Sessions
from cloud.accounts.throttle import LoginThrottle
from cloud.accounts.tokens import ApiTokens
from cloud.audit import AuditLog
from cloud.database.engine import Database
from cloud.vault import Vault
from protocols.ids import UuidV7Maker


def open_accounts(
    database: Database,
    audit: AuditLog,
    vault: Vault,
    now: Callable[[], datetime],
    passwords: Passwords | None = None,
    limits: SessionLimits | None = None,
    recent: Recent | None = None,
) -> Accounts:
    """Accounts on a database that is migrated."""
    recent = recent or Recent(now)
    make_id = UuidV7Maker(lambda: now().timestamp(), os.urandom)
    second_factors = SecondFactors(database, vault, now)
    return Accounts(
        database=database,
        now=now,
        make_id=make_id,
        passwords=passwords or Passwords(),
        throttle=LoginThrottle(time.monotonic),
        sessions=Sessions(database, now, limits or SessionLimits(), recent),
        tokens=ApiTokens(database, now, make_id, audit, recent),
        second_factors=second_factors,
        enrolments=Enrolments(vault, second_factors, now),
        audit=audit,
    )
