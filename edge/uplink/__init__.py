"""The gateway's side of MQTT: presence, events, receipts, commands and credentials.

Publishing deletes nothing: only the hub's signed receipt does. A broker's PUBACK is flow control.
"""

from edge.uplink.uplink import Uplink, UplinkSettings, UplinkStatus

__all__ = ["Uplink", "UplinkSettings", "UplinkStatus"]
