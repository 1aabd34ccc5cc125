"""The HTTP server that devices call, and who may speak on it: devices of the site file, from their own address.

Devices with the same address and port share one listener, whose thread lives while one of them does. A serial number
is all that the protocol knows of identity: it is compared in constant time, and an unlisted one is refused before its
body is read. While a device of the site file is being paired (`pairing_until`), an unlisted one that calls is named to
the operator; it is refused all the same.
"""

import asyncio
import contextlib
import hmac
import logging
import random
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge.access.drivers.zkteco.device import DeviceClosed, PushDevice
from edge.access.drivers.zkteco.http import Exchange, HttpServer, Reply
from edge.backoff import Backoff
from edge.clock import Clock
from edge.counters import Counters
from protocols.access_events import ReaderOfflineReason
from protocols.base import ProtocolError
from protocols.zk_push import LineKeeper, PushRequest, parse_request

MAX_KEPT_BYTES = 2 * 1024 * 1024
"""Of one upload's events; devices send at most 2,048,000 bytes at once (MaxPackageSize)."""

TICK_S = 0.25
LOG_EVERY_S = 60.0
BACKLOG = 64
STOP_S = 5.0

_REFUSED = Reply("UNAUTHORIZED\n", 403)
_GOING = Reply("the gateway is stopping\n", 503)
_LOG = logging.getLogger(__name__)


class ListenerConflict(ValueError):
    """Two devices of the site file cannot share an address as they are configured."""


@dataclass(frozen=True)
class ListenAddress:
    """Where to listen and with which certificate."""

    host: str
    port: int
    certificate: Path | None
    key: Path | None


class _Upload:
    """A request of a listed device whose body is on its way."""

    def __init__(self, device: PushDevice, request: PushRequest) -> None:
        self._device, self._request = device, request
        self.body = LineKeeper(device.wants(request), MAX_KEPT_BYTES)

    async def finish(self) -> Reply:
        lines = self.body.finish()
        self._device.counters.add("lines_too_long", self.body.too_long_count)
        try:
            return Reply(await self._device.answer(self._request, lines, self.body.line_count))
        except DeviceClosed:
            return _GOING


class Listener:
    """One address."""

    def __init__(self, address: ListenAddress, clock: Clock, backoff: Backoff | None = None) -> None:
        self.address = address
        self.counters = Counters()
        self._clock = clock
        self._backoff = backoff or Backoff(1.0, 30.0, random.random)
        self._devices: tuple[PushDevice, ...] = ()
        self._logged_s = float("-inf")
        self._not_logged = 0
        self._port: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Event | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"zkteco-{address.port}")

    @property
    def port(self) -> int | None:
        """Where it really listens; None while it cannot."""
        return self._port

    @property
    def devices(self) -> tuple[PushDevice, ...]:
        return self._devices

    def add(self, device: PushDevice) -> None:
        """Let a device speak.

        Raises:
            ListenerConflict: if its serial number is another's.
        """
        serial = device.config.serial
        for other in self._devices:
            if serial is not None and other.config.serial == serial:
                raise ListenerConflict(f'serial "{serial}" is that of device "{other.config.id}" too')
        self._devices = (*self._devices, device)

    def remove(self, device: PushDevice) -> None:
        """Let a device speak no more, once the request at work is answered."""
        self._devices = tuple(each for each in self._devices if each is not device)
        if self._loop is not None:
            with contextlib.suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(device.close(), self._loop).result(STOP_S)

    def start(self) -> None:
        self._thread.start()
        self._started.wait()

    def stop(self) -> None:
        """End the thread and every connection."""
        if self._loop is not None and self._ended is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(STOP_S)

    def begin(self, method: str, target: str, source: str) -> Exchange | Reply:
        """As in `http.Handler`."""
        try:
            request = parse_request(method, target)
        except ProtocolError:
            self.counters.add("requests_unknown")
            return Reply("not found\n", 404)
        device = self._device_of(request.serial)
        if device is None:
            self._refuse_unlisted(request.serial, source)
            return _REFUSED
        allowed = device.config.source_address
        if allowed is not None and str(allowed) != source:
            self._refuse_foreign(device, source)
            return _REFUSED
        return _Upload(device, request)

    def _device_of(self, serial: str) -> PushDevice | None:
        """Every listed number is compared, each in constant time."""
        found = None
        for device in self._devices:
            if hmac.compare_digest((device.config.serial or "").encode(), serial.encode()):
                found = device
        return found

    def _refuse_unlisted(self, serial: str, source: str) -> None:
        self.counters.add("serials_refused")
        self._log("zkteco: a device that is not in the site file called", serial, source)
        for device in self._in_pairing(source):
            device.standing.tell_stranger(
                f'a device with serial number "{serial}" called from {source}; if it is this one, write '
                f'serial = "{serial}" for device "{device.config.id}" in the site file',
            )

    def _in_pairing(self, source: str) -> Iterator[PushDevice]:
        now = datetime.fromtimestamp(self._clock.wall_s(), UTC)
        for device in self._devices:
            until, allowed = device.config.pairing_until, device.config.source_address
            if until is not None and now < until and (allowed is None or str(allowed) == source):
                yield device

    def _refuse_foreign(self, device: PushDevice, source: str) -> None:
        self.counters.add("sources_refused")
        self._log("zkteco: a listed serial number called from another address", device.config.serial or "", source)
        device.standing.tell_stranger(
            f"its serial number calls from {source}, and only {device.config.source_address} is allowed "
            f"(source_address)"
        )

    def _log(self, message: str, serial: str, source: str) -> None:
        now_s = self._clock.monotonic_s()
        if now_s - self._logged_s < LOG_EVERY_S:
            self._not_logged += 1
            return
        _LOG.warning(message, extra={"serial": serial, "source": source, "not_logged": self._not_logged})
        self._logged_s, self._not_logged = now_s, 0

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._started.set()
        tasks = {asyncio.create_task(self._tick()), asyncio.create_task(self._listen())}
        await self._ended.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _tick(self) -> None:
        while True:
            for device in self._devices:
                try:
                    device.tick()
                except Exception:  # noqa: BLE001 - one device's fault must not stop the time of the others
                    self.counters.add("faults")
                    _LOG.exception("zkteco: a device could not be looked after")
            await asyncio.sleep(TICK_S)

    async def _listen(self) -> None:
        while True:
            try:
                tls = self._tls()
                listening = await self._bound()
            except (OSError, ValueError) as error:
                self.counters.add("listening_failed")
                cause = error.strerror or str(error) if isinstance(error, OSError) else str(error)
                for device in self._devices:
                    where = f"{self.address.host} port {self.address.port}"
                    device.standing.lose(ReaderOfflineReason.PORT, f"the gateway cannot listen on {where}: {cause}")
                await asyncio.sleep(self._backoff.next_s())
                continue
            self._backoff.reset()
            try:
                self._port = listening.getsockname()[1]
                for device in self._devices:
                    device.standing.await_call()
                await HttpServer(listening, tls, self, self.counters, self._clock).serve()
            except Exception:  # noqa: BLE001 - whatever it was, the devices must be heard again
                self.counters.add("faults")
                _LOG.exception("zkteco: listening ended and is begun anew")
                await asyncio.sleep(self._backoff.next_s())
            finally:
                self._port = None
                listening.close()

    def _tls(self) -> ssl.SSLContext | None:
        if self.address.certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.address.certificate, self.address.key)
        return context

    async def _bound(self) -> socket.socket:
        loop = asyncio.get_running_loop()
        family, kind, protocol, _, where = (
            await loop.getaddrinfo(self.address.host, self.address.port, type=socket.SOCK_STREAM)
        )[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setblocking(False)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(where)
            listening.listen(BACKLOG)
        except OSError:
            listening.close()
            raise
        return listening


class Listeners:
    """The listeners at work, by host and port: each is there for as long as a device uses it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at_work: dict[tuple[str, int], Listener] = {}

    def join(self, address: ListenAddress, device: PushDevice, clock: Clock) -> Listener:
        """Let a device speak at an address.

        Raises:
            ListenerConflict: if the other devices there are configured otherwise, or one has its serial number.
        """
        where = (address.host, address.port)
        with self._lock:
            listener = self._at_work.get(where)
            if listener is not None and listener.address != address:
                raise ListenerConflict(
                    f"other devices at {address.host} port {address.port} have another certificate "
                    f"(tls_certificate_file, tls_key_file)"
                )
            if listener is not None:
                listener.add(device)
                return listener
            listener = Listener(address, clock)
            listener.add(device)
            listener.start()
            self._at_work[where] = listener
            return listener

    def leave(self, listener: Listener, device: PushDevice) -> None:
        """A device goes; the last one ends the listener."""
        with self._lock:
            listener.remove(device)
            if not listener.devices:
                self._at_work.pop((listener.address.host, listener.address.port), None)
                listener.stop()
