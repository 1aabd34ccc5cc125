"""Sends what waits: one thread for each channel, so that a slow one holds up no other."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from random import SystemRandom
from time import monotonic
from uuid import UUID

from prometheus_client import CollectorRegistry, Counter, Gauge

from cloud.database.engine import Database
from cloud.notify.channels import Channel, make_channel
from cloud.notify.queue import Attempt, ChannelQueue, Pace, end_orphans
from cloud.notify.settings import AnyChannel, EmailSettings, NotifySettings, SmsSettings
from cloud.notify.states import DeliveryFailed, Failure
from cloud.notify.wording import Message, Wording
from cloud.periodic import Periodic

EVERY_S = 1.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of one attempt. `detail` is what the other side answered, without secrets."""

    sent: bool
    failure: Failure | None
    detail: str


class NotifySender:
    """Runs by itself from `start` until `stop`; `run_once` is what a channel's thread does every second."""

    def __init__(
        self,
        database: Database,
        settings: NotifySettings,
        now: Callable[[], datetime],
        make_id: Callable[[], UUID],
        registry: CollectorRegistry,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._database, self._settings, self._now = database, settings, now
        self._stopping = threading.Event()
        owner, wording = make_id(), Wording(settings.zone, settings.link)
        attempts = Counter(
            "gatehouse_notify_attempts", "Attempts to send a message", ["channel", "outcome"], registry=registry
        )
        self._waiting = Gauge(
            "gatehouse_notify_waiting", "What a channel has not sent yet", ["channel"], registry=registry
        )
        failures = Counter("gatehouse_notify_failures", "Runs of a channel's thread that failed", registry=registry)
        self._lines = {
            name: _Line(
                name,
                each,
                ChannelQueue(database, name, Pace.of(each, settings.give_up_s), owner, now, make_id, SystemRandom()),
                make_channel(each, now, changed),
                wording,
                attempts,
                now,
            )
            for name, each in settings.channels.items()
        }
        self._schedules = [
            Periodic(f"notify {name}", self._runner(name), EVERY_S, EVERY_S, (Exception,), failures)
            for name in self._lines
        ]

    def start(self) -> None:
        """Begin."""
        with self._database.write() as connection:
            gone = end_orphans(connection, frozenset(self._lines), self._now())
        if gone:
            _log.warning("notifications: %d messages for channels that are configured no longer were dropped", gone)
        for schedule in self._schedules:
            schedule.start()

    def stop(self) -> None:
        """End, at the latest after the attempts in hand."""
        self._stopping.set()
        for schedule in self._schedules:
            schedule.stop()

    def run_once(self, channel: str) -> int:
        """Send what a channel may send now; how many attempts that took."""
        line, done = self._lines[channel], 0
        while not self._stopping.is_set() and line.attempt() is not None:
            done += 1
        self._waiting.labels(channel).set(line.queue.waiting())
        return done

    def test(self, channel: str, recipient: str | None = None) -> Outcome:
        """Send a test to one recipient, by default the first.

        Raises:
            KeyError: if there is no such channel or recipient.
            TooOften: if the channel has sent as many messages as it may.
        """
        line = self._lines[channel]
        wanted = line.settings.recipients[0] if recipient is None else recipient
        if wanted not in line.settings.recipients:
            raise KeyError(wanted)
        return line.make(line.queue.claim_test(wanted), is_test=True)

    def _runner(self, channel: str) -> Callable[[], int]:
        return lambda: self.run_once(channel)


class _Line:
    """A channel with its queue."""

    def __init__(
        self,
        name: str,
        settings: AnyChannel,
        queue: ChannelQueue,
        channel: Channel,
        wording: Wording,
        attempts: Counter,
        now: Callable[[], datetime],
    ) -> None:
        self.name, self.settings, self.queue = name, settings, queue
        self._channel, self._wording, self._attempts, self._now = channel, wording, attempts, now

    def attempt(self) -> Outcome | None:
        """Make the next attempt; None: there is none to make."""
        claimed = self.queue.claim()
        return None if claimed is None else self.make(claimed)

    def make(self, claimed: Attempt, is_test: bool = False) -> Outcome:
        """Send, and write down what became of it."""
        began, failed, detail = monotonic(), None, ""
        try:
            detail = self._channel.send(self._message(claimed, is_test))
        except DeliveryFailed as failure:
            failed, detail = failure, failure.detail
        except Exception as fault:  # noqa: BLE001 (a fault in one channel's code must not stop its thread)
            _log.exception("channel %s: a fault of the program", self.name)
            failed = DeliveryFailed(Failure.PROGRAM_FAULT, type(fault).__name__)
            detail = failed.detail
        self.queue.settle(claimed, failed, detail, monotonic() - began)
        self._attempts.labels(self.name, "sent" if failed is None else failed.failure.value).inc()
        return Outcome(failed is None, failed.failure if failed else None, detail)

    def _message(self, claimed: Attempt, is_test: bool) -> Message:
        address, language, now = self._address(claimed.recipient), self.settings.language, self._now()
        if is_test:
            made = self._wording.test(claimed.key, self.name, language, now)
        else:
            made = self._wording.compose(claimed.key, self.name, language, claimed.facts, now)
        return made.to(address)

    def _address(self, recipient: str) -> str:
        settings = self.settings
        if not isinstance(settings, EmailSettings | SmsSettings):
            return ""
        if recipient not in settings.to:
            raise DeliveryFailed(Failure.RECIPIENT_GONE, "the recipient is in the configuration no longer")
        return settings.to[recipient]
