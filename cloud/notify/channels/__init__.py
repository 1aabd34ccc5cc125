"""The ways out, each a `Channel`."""

from cloud.notify.channels.interface import Channel
from cloud.notify.channels.make import make_channel

__all__ = ["Channel", "make_channel"]
