"""What the compose file of a site promises: services locked down, no secret in it, nothing open beyond loopback."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker" / "compose.site.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())


def test_a_site_is_a_hub_a_broker_a_database_and_a_gateway() -> None:
    assert set(SERVICES) == {"hub", "broker", "database", "gateway"}


@each_service
def test_a_service_is_locked_down(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    user, group = service["user"].split(":")
    assert int(user) > 0
    assert int(group) > 0


@each_service
def test_a_service_has_limits_a_health_check_and_starts_again(service: dict[str, Any]) -> None:
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert service["healthcheck"]["test"]
    assert service["restart"] == "unless-stopped"


@each_service
def test_a_service_keeps_its_state_in_a_volume_of_its_own(service: dict[str, Any]) -> None:
    named = {volume.split(":")[0] for volume in service["volumes"]} & COMPOSE["volumes"].keys()
    others = [other for other in SERVICES.values() if other is not service]
    assert named
    assert all(named.isdisjoint(volume.split(":")[0] for volume in other["volumes"]) for other in others)


@each_service
def test_files_of_the_host_are_mounted_read_only(service: dict[str, Any]) -> None:
    bound = [volume for volume in service["volumes"] if volume.startswith((".", "/", "$"))]
    assert all(volume.endswith(":ro") for volume in bound)


def test_only_the_console_is_published_and_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"hub": ["127.0.0.1:${GATEHOUSE_PORT:-8080}:8080"]}
    assert not any(service.get("network_mode") for service in SERVICES.values())


def test_the_database_is_on_a_network_that_leads_nowhere_and_that_the_gateway_is_not_on() -> None:
    assert SERVICES["database"]["networks"] == ["storage"]
    assert COMPOSE["networks"]["storage"]["internal"] is True
    assert "storage" not in SERVICES["gateway"]["networks"]


def test_every_secret_is_a_file_that_git_ignores() -> None:
    assert "/site/" in (ROOT / "docker" / ".gitignore").read_text().splitlines()
    assert all(list(secret) == ["file"] for secret in COMPOSE["secrets"].values())
    assert all(secret["file"].startswith("${GATEHOUSE_SITE:-./site}/") for secret in COMPOSE["secrets"].values())
    asked = {name for service in SERVICES.values() for name in service.get("secrets", [])}
    assert asked == COMPOSE["secrets"].keys()


@each_service
def test_no_variable_holds_a_secret(service: dict[str, Any]) -> None:
    for name, value in service.get("environment", {}).items():
        if any(word in name for word in ("PASSWORD", "SECRET", "TOKEN", "KEY")):
            assert name.endswith("_FILE"), name
            assert value.startswith("/run/secrets/"), name
        assert not re.search(r"//[^/@]*:[^/@]*@", str(value)), name


def test_images_are_named_in_full() -> None:
    assert {service["image"] for service in SERVICES.values()} == {
        "docker.io/library/postgres:15",
        "docker.io/library/eclipse-mosquitto:2",
        "localhost/gatehouse-hub:dev",
        "localhost/gatehouse-edge:dev",
    }
