"""What MQTT 5 properties repeat of a command's payload, for tools that read the wire. Nothing depends on them.

Response Topic, Correlation Data and Message Expiry Interval are those of MQTT 5.0, section 3.3.2.3.
"""

from dataclasses import dataclass
from math import ceil
from uuid import UUID

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from protocols.commands import Command


@dataclass(frozen=True)
class Mirror:
    """`expiry_s` counts from when the broker takes the message."""

    response_topic: str
    corr: UUID
    expiry_s: int

    def properties(self) -> Properties:
        """As paho takes them; Correlation Data is the 16 bytes of `corr`."""
        made = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho has no types here
        made.ResponseTopic = self.response_topic
        made.CorrelationData = self.corr.bytes
        made.MessageExpiryInterval = self.expiry_s
        return made


def mirror_of(command: Command) -> Mirror:
    """The payload's own values; the expiry in whole seconds, rounded up, at least one."""
    lifetime_s = (command.expires - command.issued).total_seconds()
    return Mirror(command.reply_to, command.corr, max(1, ceil(lifetime_s)))
