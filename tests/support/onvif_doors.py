"""The ONVIF door driver, at work on a device at a loopback port."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from edge.access.config import Reader
from edge.access.drivers.interface import Driver, DriverContext
from edge.access.drivers.onvif.config import OnvifDevice
from edge.access.drivers.onvif.driver import make
from edge.clock import SystemClock
from tests.peers.onvif import USER
from tests.support.deliveries import Deliveries

READER = "intercom"


@contextmanager
def running(port: int, password_file: Path, **settings: Any) -> Iterator[tuple[Driver, Deliveries]]:
    given = {"username": USER, "password_file": password_file, "inputs": ("in-1", "in-2"), "timeout_s": 1.0, **settings}
    device = OnvifDevice.model_validate({"id": "gate", "kind": "onvif", "host": "127.0.0.1", "port": port, **given})
    context = DriverContext(Path(), ZoneInfo("Asia/Shanghai"), SystemClock())
    driver = make(device, (Reader(id=READER, device="gate"),), context)
    deliveries = Deliveries()
    driver.start(deliveries)
    try:
        yield driver, deliveries
    finally:
        driver.stop()
