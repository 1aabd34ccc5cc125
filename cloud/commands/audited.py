"""Writes how each command ended into the audit, beside who gave it."""

import logging

from cloud.audit import AuditError, AuditLog
from cloud.commands.service import CommandOutcome

log = logging.getLogger(__name__)


class AuditedOutcomes:
    """The `ended` of `CommandService`. What cannot be written has happened all the same: it is counted and logged."""

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit
        self.failures = 0

    def __call__(self, outcome: CommandOutcome) -> None:
        detail = {
            "corr": str(outcome.corr),
            "gateway": outcome.gateway,
            "door": outcome.door,
            "state": outcome.state.value,
            "code": outcome.code,
            "reason": outcome.reason,
        }
        try:
            self._audit.append(f"{outcome.action}.outcome", outcome.account_id, detail)
        except AuditError as error:
            self.failures += 1
            log.error("the outcome of command %s is not in the audit: %s", outcome.corr, error)
