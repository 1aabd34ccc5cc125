"""The hub's configuration: defaults, environment over file, and faults told with file, line and key."""

from pathlib import Path

import pytest

from cloud.broker import BrokerError, BrokerKind, DynamicSecurityBroker, EmbeddedBroker, UnmanagedBroker
from cloud.config import ConfigurationError, HubConfig, load_config
from cloud.hub_broker import describe_broker, make_broker


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "hub.toml"
    path.write_text(text)
    return path


def test_without_anything_nothing_is_open_beyond_loopback() -> None:
    config = load_config(None, {})
    assert (config.http.host, config.broker.host, config.broker.url) == ("127.0.0.1", "127.0.0.1", None)
    assert config.database_url == "sqlite:////var/lib/gatehouse/hub.db"
    assert not config.ingest.is_shared


def test_the_environment_stands_above_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, 'state_dir = "/a"\n[http]\nport = 1\nhost = "127.0.0.2"\n')
    config = load_config(
        path,
        {
            "GATEHOUSE_HUB_STATE_DIR": "/b",
            "GATEHOUSE_HUB_HTTP__PORT": "2",
            "GATEHOUSE_HUB_WEB__ALLOWED_HOSTS": '["hub.example"]',
            "OTHER": "x",
        },
    )
    assert (config.state_dir, config.http.port, config.http.host) == (Path("/b"), 2, "127.0.0.2")
    assert config.web.allowed_hosts == ("hub.example",)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[http]\n\nprot = 1\n", "hub.toml:3: http.prot: Extra inputs are not permitted"),
        ('[broker]\nport = "many"\n', "hub.toml:2: broker.port: Input should be a valid integer"),
        ('# a comment\n[broker]\nhost = "0.0.0.0"\n', "hub.toml:2: broker: host 0.0.0.0 is open to a network"),
        (
            '[broker]\nhost = "::"\n[broker.tls]\ncertificate = "c"\nkey = "k"\nca = "a"\n',
            "set advertised_host, which gateways are told",
        ),
        ('[broker]\nurl = "mqtt://broker.example"\n', "beyond loopback: write mqtts://"),
        ('[broker]\nurl = "mqtts://broker.example"\n', "mqtts needs ca_file"),
        ('[broker]\nurl = "mqtt://127.0.0.1"\n', "needs password_file"),
        ('[broker]\nurl = "http://127.0.0.1"\n', "write mqtts://host:port"),
        ('[broker]\nmanaged = "dynamic-security"\n', "belong to a broker given by url"),
        ('[broker]\nkind = "nats"\nprotocol = "5"\n', "hub.toml:1: broker: protocol 5: nats-server speaks MQTT 3.1.1"),
        ('[broker]\nprotocol = "4"\n', "hub.toml:2: broker.protocol: Input should be '3.1.1' or '5'"),
        ("[ingest]\nworkers = 0\n", "hub.toml:2: ingest.workers"),
        ("[http\n", "hub.toml: "),
    ],
)
def test_a_fault_is_told_with_its_line_and_key(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        load_config(written(tmp_path, text), {})
    assert fault in str(error.value)


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as error:
        load_config(written(tmp_path, "one = 1\ntwo = 2\n[http]\nport = -1\n"), {})
    assert len(str(error.value).splitlines()) == 3


def test_a_fault_in_the_environment_names_the_variable() -> None:
    with pytest.raises(ConfigurationError, match=r"^GATEHOUSE_HUB_HTTP__PORT: http.port: "):
        load_config(None, {"GATEHOUSE_HUB_HTTP__PORT": "x"})
    with pytest.raises(ConfigurationError, match=r"^GATEHOUSE_HUB_STATE_DIR__X: state_dir is no section"):
        load_config(None, {"GATEHOUSE_HUB_STATE_DIR": "/a", "GATEHOUSE_HUB_STATE_DIR__X": "1"})


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        load_config(tmp_path / "hub.toml", {})


def configured(tmp_path: Path, **broker: object) -> HubConfig:
    return HubConfig.model_validate({"state_dir": tmp_path, "broker": broker})


def test_the_broker_follows_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("of the hub\n")
    own = {"url": "mqtt://127.0.0.1:1884", "password_file": tmp_path / "password"}
    managed = make_broker(configured(tmp_path, **own, managed="dynamic-security", advertised_host="gate.example"))
    assert isinstance(managed, DynamicSecurityBroker)
    assert (managed.hub_access.port, managed.hub_access.password) == (1884, "of the hub")
    assert (managed.gateway_access.host, managed.gateway_access.port) == ("gate.example", 1884)
    assert type(make_broker(configured(tmp_path, **own))) is UnmanagedBroker
    embedded = make_broker(configured(tmp_path, port=0, advertised_host="gate.example", advertised_port=8883))
    assert isinstance(embedded, EmbeddedBroker)
    assert (embedded.gateway_access.host, embedded.gateway_access.port) == ("gate.example", 8883)


def test_what_a_broker_lacks_is_told(tmp_path: Path) -> None:
    own = {"url": "mqtt://127.0.0.1:1884", "password_file": tmp_path / "none"}
    with pytest.raises(BrokerError, match="none cannot be read"):
        make_broker(configured(tmp_path, **own))
    several = HubConfig.model_validate({"state_dir": tmp_path, "broker": {"kind": "nats"}, "ingest": {"workers": 2}})
    with pytest.raises(BrokerError, match="use Mosquitto"):
        make_broker(several)
    fallen_back = configured(tmp_path, protocol="5").broker.model_copy(update={"kind": BrokerKind.NATS})
    config = HubConfig.model_validate({"state_dir": tmp_path}).model_copy(update={"broker": fallen_back})
    for look in (make_broker, describe_broker):
        with pytest.raises(BrokerError, match="Mosquitto is not installed"):
            look(config)


def test_a_check_writes_nothing(tmp_path: Path) -> None:
    assert describe_broker(configured(tmp_path / "hub")) == "mosquitto, started by the hub, at 127.0.0.1:1883"
    assert not (tmp_path / "hub").exists()
