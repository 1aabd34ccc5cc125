"""Gateways as the hub knows them: added, enrolled by a one-time code, let into the broker, revoked.

A key or a code's secret is stored sealed (`cloud.vault`) and never shown again.
"""

from cloud.gateways.enrolment import EnrolmentRefused, EnrolmentService
from cloud.gateways.identity import GatewayIdentity, NotAGateway
from cloud.gateways.keys import GatewayKeys
from cloud.gateways.register import GatewayError, GatewayRegister, GatewaySummary
from cloud.gateways.roster import Roster

__all__ = [
    "EnrolmentRefused",
    "EnrolmentService",
    "GatewayError",
    "GatewayIdentity",
    "GatewayKeys",
    "GatewayRegister",
    "GatewaySummary",
    "NotAGateway",
    "Roster",
]
