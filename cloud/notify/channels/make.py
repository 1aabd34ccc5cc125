"""Makes a channel of its settings."""

from collections.abc import Callable
from datetime import datetime

from cloud.notify.channels.email import EmailChannel
from cloud.notify.channels.interface import Channel
from cloud.notify.channels.robots import DingtalkChannel, WecomChannel
from cloud.notify.channels.sms import SmsChannel
from cloud.notify.channels.webhook import WebhookChannel
from cloud.notify.settings import (
    AnyChannel,
    ConsoleSettings,
    DingtalkSettings,
    EmailSettings,
    SmsSettings,
    WebhookSettings,
    WecomSettings,
)
from cloud.notify.wording import Message


class ConsoleChannel:
    """The pages of the console: they read the alarms anew."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed

    def send(self, message: Message) -> str:  # noqa: ARG002 (a Channel)
        """As `Channel.send`; it never fails."""
        self._changed()
        return "pages were told"


def make_channel(settings: AnyChannel, now: Callable[[], datetime], changed: Callable[[], None]) -> Channel:
    """A channel. `changed` has the console's pages look."""
    match settings:
        case ConsoleSettings():
            return ConsoleChannel(changed)
        case WebhookSettings():
            return WebhookChannel(settings, now)
        case WecomSettings():
            return WecomChannel(settings)
        case DingtalkSettings():
            return DingtalkChannel(settings, now)
        case EmailSettings():
            return EmailChannel(settings, now)
        case SmsSettings():
            return SmsChannel(settings)
