"""The MQTT broker that the hub starts and keeps running, or the one that an administrator configured.

What crosses it is sealed end to end (`protocols.sealing`), so the broker is trusted with availability and nothing else.
"""

from cloud.broker.access import Broker, BrokerError, BrokerStatus, GatewayAccess, HubAccess
from cloud.broker.embedded import EmbeddedBroker
from cloud.broker.engines import BrokerKind, Ports, TlsFiles, find_engine

__all__ = [
    "Broker",
    "BrokerError",
    "BrokerKind",
    "BrokerStatus",
    "EmbeddedBroker",
    "GatewayAccess",
    "HubAccess",
    "Ports",
    "TlsFiles",
    "find_engine",
]
