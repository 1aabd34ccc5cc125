"""The MQTT broker that the hub starts and keeps running, or the one that an administrator configured.

What crosses it is sealed end to end (`protocols.sealing`), so the broker is trusted with availability and nothing else.
"""

from cloud.broker.access import Broker, BrokerError, BrokerStatus, GatewayAccess, HubAccess, MqttProtocol
from cloud.broker.client import HubClient
from cloud.broker.embedded import EmbeddedBroker
from cloud.broker.engines import BrokerKind, Ports, TlsFiles, find_engine
from cloud.broker.external import DynamicSecurityBroker, UnmanagedBroker
from cloud.broker.mirror import Mirror, mirror_of

__all__ = [
    "Broker",
    "BrokerError",
    "BrokerKind",
    "BrokerStatus",
    "DynamicSecurityBroker",
    "EmbeddedBroker",
    "GatewayAccess",
    "HubAccess",
    "HubClient",
    "Mirror",
    "MqttProtocol",
    "Ports",
    "TlsFiles",
    "UnmanagedBroker",
    "find_engine",
    "mirror_of",
]
