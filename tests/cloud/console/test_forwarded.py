"""Whose tries are counted when a proxy passes them on. Nobody can put himself in another's place, or out of his own."""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cloud.app_settings import AppSettings
from cloud.config import ConfigurationError, load_config
from cloud.console.forwarded import client_address
from cloud.database.engine import Database
from tests.support.console import GUARD, RunningConsole

PROXIES = ("127.0.0.1", "10.1.0.0/16", "fd00::/8")
TRUSTED = [ip_network(each) for each in PROXIES]

addresses = st.ip_addresses().filter(lambda address: getattr(address, "ipv4_mapped", None) is None)
strangers = addresses.filter(lambda address: not any(address in network for network in TRUSTED))
proxies = st.one_of(
    st.just(ip_address("127.0.0.1")), st.ip_addresses(network="10.1.0.0/16"), st.ip_addresses(network="fd00::/8")
)
claims = st.one_of(st.text(max_size=60), st.lists(addresses.map(str), max_size=4).map(", ".join))
with_ports = st.sampled_from(["{}", " {} ", "{}:4711"])


def written(address: object, form: str) -> str:
    text = str(address)
    return form.format(f"[{text}]" if ":" in text and form.endswith("4711") else text)


@given(claims, strangers, st.lists(proxies, min_size=1, max_size=4), with_ports, st.booleans())
def test_behind_trusted_proxies_the_client_is_who_reached_the_first_whatever_it_claims(
    claim: str, client: object, chain: list[object], form: str, in_one_header: bool
) -> None:
    *passed, peer = [client, *chain]
    hops = [written(each, form) for each in passed]
    headers = [", ".join([claim, *hops])] if in_one_header else [claim, *hops]
    assert client_address(str(peer), headers, TRUSTED) == str(client)


@given(strangers, st.lists(claims, max_size=3))
def test_an_untrusted_peer_s_header_is_not_read(peer: object, headers: list[str]) -> None:
    assert client_address(str(peer), headers, TRUSTED) == str(peer)


@given(st.text(max_size=20), st.lists(claims, max_size=3))
def test_nothing_makes_it_fail(peer: str, headers: list[str]) -> None:
    assert client_address(peer, headers, TRUSTED) is not None


@pytest.mark.parametrize(
    ("peer", "headers", "wanted"),
    [
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("127.0.0.1", ["unknown"], "127.0.0.1"),
        ("127.0.0.1", ["6.6.6.6, unknown, 10.1.0.9"], "10.1.0.9"),
        ("127.0.0.1", ["10.1.0.8, 10.1.0.9"], "10.1.0.8"),
        ("::ffff:127.0.0.1", ["::ffff:6.6.6.6"], "6.6.6.6"),
        ("testclient", ["6.6.6.6"], "testclient"),
    ],
)
def test_the_nearest_known_hop_counts(peer: str, headers: list[str], wanted: str) -> None:
    assert client_address(peer, headers, TRUSTED) == wanted


@pytest.fixture
def proxied(database: Database, tmp_path: Path) -> Iterator[RunningConsole]:
    running = RunningConsole(database, tmp_path, AppSettings.model_validate({"trusted_proxies": ["127.0.0.1"]}))
    yield running
    running.stop()


def tries(console: RunningConsole, forwarded: str, count: int) -> list[int]:
    headers = {"Origin": console.url, "X-Forwarded-For": forwarded}
    with httpx.Client(base_url=console.url, headers=headers) as client:
        return [client.post("/login", data={"username": GUARD, "password": "wrong"}).status_code for _ in range(count)]


def test_one_browser_s_wrong_passwords_do_not_make_another_wait(proxied: RunningConsole) -> None:
    assert tries(proxied, "203.0.113.5", 6) == [401] * 5 + [429]
    assert tries(proxied, "203.0.113.6", 1) == [401]
    assert tries(proxied, "203.0.113.6, 203.0.113.5", 1) == [429]  # a claim in front changes nothing


def test_without_a_trusted_proxy_the_header_changes_nothing(console: RunningConsole) -> None:
    assert tries(console, "203.0.113.5", 5) == [401] * 5
    assert tries(console, "203.0.113.6", 1) == [429]


def test_a_forwarded_request_is_no_local_one(proxied: RunningConsole) -> None:
    assert httpx.get(f"{proxied.url}/metrics", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 401


def test_what_is_no_address_is_a_fault_of_the_configuration() -> None:
    with pytest.raises(ValidationError):
        AppSettings.model_validate({"trusted_proxies": ["proxy.example"]})
    with pytest.raises(ConfigurationError, match=r"^GATEHOUSE_HUB_WEB__TRUSTED_PROXIES: web.trusted_proxies"):
        load_config(None, {"GATEHOUSE_HUB_WEB__TRUSTED_PROXIES": '["10.0.0.1/8"]'})
