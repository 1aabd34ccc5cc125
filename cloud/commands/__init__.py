"""Commands to gateways, signed by the hub and followed to their end."""

from cloud.commands.service import CommandOutcome, CommandService
from cloud.commands.states import FINAL, CommandState, HubCode, may_become

__all__ = ["FINAL", "CommandOutcome", "CommandService", "CommandState", "HubCode", "may_become"]
