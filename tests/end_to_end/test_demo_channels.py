"""The demo's notification channels: what its program takes, and a mail server that refuses every connection."""

import socket
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloud.notify.states import DeliveryFailed, Failure
from gatehouse.demo.channels import DEAD, Channels
from tests.support.notify import channel, fact, message, secret_file


@pytest.fixture
def channels() -> Iterator[Channels]:
    with Channels() as running:
        yield running


def settings(channels: Channels, folder: Path, name: str, key: str = "") -> dict[str, Any]:
    """Of a channel, as the demo's configuration has them."""
    file = secret_file(folder, "webhook.key", key or channels.key)
    found: dict[str, Any] = tomllib.loads(channels.configuration(file))["web"]["notify"]["channels"][name]
    return found


def test_the_program_counts_every_alarm_that_it_is_told_of_once(channels: Channels, tmp_path: Path) -> None:
    desk, seven = channel(**settings(channels, tmp_path, "desk")), message(*(fact() for _ in range(7)))
    for what in (seven, seven, message()):
        desk.send(what)
    assert channels.told == 8, "five are named and two counted, once; then one more"


def test_it_takes_nothing_that_another_signed(channels: Channels, tmp_path: Path) -> None:
    desk = channel(**settings(channels, tmp_path, "desk", key="another"))
    with pytest.raises(DeliveryFailed) as failed:
        desk.send(message())
    assert (failed.value.failure, channels.told) == (Failure.WRONG_CREDENTIALS, 0)


def test_no_mail_server_answers_and_none_can(channels: Channels, tmp_path: Path) -> None:
    mail = settings(channels, tmp_path, DEAD)
    with pytest.raises(DeliveryFailed) as failed:
        channel(**mail).send(message(address="village@example.org"))
    assert failed.value.failure is Failure.UNREACHABLE
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind((mail["host"], mail["port"]))
