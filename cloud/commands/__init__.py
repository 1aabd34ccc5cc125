"""Commands to gateways, signed by the hub and followed to their end."""

from cloud.commands.audited import AuditedOutcomes
from cloud.commands.service import CommandOutcome, CommandService
from cloud.commands.states import FINAL, CommandState, HubCode, may_become

__all__ = ["FINAL", "AuditedOutcomes", "CommandOutcome", "CommandService", "CommandState", "HubCode", "may_become"]
