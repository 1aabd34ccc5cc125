"""A broker that an administrator runs. Its users are the administrator's, or the hub's to manage over MQTT.

Managed means Mosquitto 2.x with its dynamic-security plug-in: one role and one client for each gateway, with literal
topics, since `%u` is not replaced in a role's topic (2.0.11). A client is bound to its own client id, so no gateway can
take another's connection over. Deleting a client, or setting its password, cuts its connection at once.
"""

import hashlib
import json
import logging
import threading
from collections.abc import Mapping
from itertools import islice
from time import monotonic
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from cloud.broker.access import BrokerError, BrokerStatus, GatewayAccess, HubAccess
from protocols import topics

_CONTROL = "$CONTROL/dynamic-security/v1"
_RESPONSE = f"{_CONTROL}/response"
_ANSWER_S = 10.0
_COMMANDS_A_MESSAGE = 50
_DESCRIPTION = "gatehouse gateway "
_Command = dict[str, Any]

log = logging.getLogger(__name__)


class UnmanagedBroker:
    """A broker whose users the hub does not touch: each gateway's user and rights are made by the administrator.

    The password that a gateway got at enrolment is in its identity file; docs/hub.md says how to set the rights.
    """

    def __init__(self, hub: HubAccess, gateways: GatewayAccess) -> None:
        self.hub_access = hub
        self.gateway_access = gateways
        self._gateways: dict[str, str] = {}

    def start(self) -> None:
        """Nothing to start."""

    def stop(self) -> None:
        """Nothing to stop."""

    def reconnected(self) -> None:
        """Nothing to make anew."""

    def set_gateways(self, passwords: Mapping[str, str]) -> None:
        """Only counts them."""
        self._gateways = dict(passwords)

    def add_gateway(self, gateway: str, password: str) -> None:
        self.set_gateways({**self._gateways, gateway: password})

    def remove_gateway(self, gateway: str) -> None:
        self.set_gateways({name: word for name, word in self._gateways.items() if name != gateway})

    def status(self) -> BrokerStatus:
        return BrokerStatus("external", "running", 0, len(self._gateways))


class DynamicSecurityBroker(UnmanagedBroker):
    """Mosquitto with the dynamic-security plug-in; the hub's own user may administer it."""

    def __init__(self, hub: HubAccess, gateways: GatewayAccess) -> None:
        super().__init__(hub, gateways)
        self._lock = threading.Lock()
        self._applied: dict[str, str] | None = None

    def start(self) -> None:
        """Refuse whatever no role allows.

        Raises:
            BrokerError: if the broker cannot be reached, or the hub may not administer it.
        """
        refused = [
            {"acltype": kind, "allow": kind == "unsubscribe"}
            for kind in ("publishClientSend", "publishClientReceive", "subscribe", "unsubscribe")
        ]
        self._ask([{"command": "setDefaultACLAccess", "acls": refused}])

    def reconnected(self) -> None:
        """The broker may have been made anew: compare its users again."""
        with self._lock:
            self._applied = None

    def set_gateways(self, passwords: Mapping[str, str]) -> None:
        """Bring the broker's gateways to these.

        Raises:
            BrokerError: if the broker cannot be reached or refuses.
        """
        with self._lock:
            if self._applied == passwords:
                return
            before = self._known()
            commands: list[_Command] = []
            for gateway in sorted(before.keys() - passwords.keys()):
                commands += _removal(gateway)
            for gateway, password in sorted(passwords.items()):
                if before.get(gateway) != _mark(password):
                    commands += (_removal(gateway) if gateway in before else []) + _creation(gateway, password)
            self._ask(commands)
            self._applied = dict(passwords)
            self._gateways = dict(passwords)

    def status(self) -> BrokerStatus:
        return BrokerStatus("mosquitto, dynamic security", "running", 0, len(self._gateways))

    def _known(self) -> dict[str, str]:
        """Gateway -> mark of its password, as the broker has them."""
        [listed] = self._ask([{"command": "listClients", "verbose": True, "count": -1, "offset": 0}])
        clients = listed.get("data", {}).get("clients", [])
        described = {client["username"]: client.get("textdescription", "") for client in clients}
        return {
            name: text.removeprefix(_DESCRIPTION) for name, text in described.items() if text.startswith(_DESCRIPTION)
        }

    def _ask(self, commands: list[_Command]) -> list[_Command]:
        rest, answers = iter(commands), []
        while part := list(islice(rest, _COMMANDS_A_MESSAGE)):
            answers += _Conversation(self.hub_access).ask(part)
        for answer in answers:
            if "error" in answer and answer["error"] not in ("Role not found", "Client not found"):
                raise BrokerError(f"the broker refuses {answer.get('command')}: {answer['error']}")
        return answers


class _Conversation:
    """One connection, one request, its answers."""

    def __init__(self, access: HubAccess) -> None:
        self._access = access
        self._changed = threading.Condition()
        self._ready = False
        self._refusal = ""
        self._answers: list[_Command] = []
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="hub-admin", reconnect_on_failure=False)
        client.username_pw_set(access.username, access.password)
        if access.ca_file:
            client.tls_set(ca_certs=str(access.ca_file))
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_message = self._answered
        self._client = client

    def ask(self, commands: list[_Command]) -> list[_Command]:
        where = f"broker {self._access.host}:{self._access.port}"
        try:
            self._client.connect(self._access.host, self._access.port, keepalive=30)
        except OSError as error:
            raise BrokerError(f"{where} cannot be reached: {error}") from error
        self._client.loop_start()
        try:
            self._wait(lambda: self._ready, f"{where} does not let the hub administer it")
            self._client.publish(_CONTROL, json.dumps({"commands": commands}), 1)
            self._wait(
                lambda: len(self._answers) >= len(commands), f"{where} does not answer dynamic-security commands"
            )
        finally:
            self._client.disconnect()
            self._client.loop_stop()
        return self._answers

    def _wait(self, condition: Any, complaint: str) -> None:
        deadline = monotonic() + _ANSWER_S
        with self._changed:
            while not condition():
                if self._refusal or monotonic() > deadline:
                    raise BrokerError(f"{complaint}: {self._refusal or 'no answer'}")
                self._changed.wait(0.1)

    def _connected(
        self, client: mqtt.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if not reason.is_failure:
            client.subscribe(_RESPONSE, 1)
            return
        with self._changed:
            self._refusal = str(reason)
            self._changed.notify_all()

    def _subscribed(
        self, _client: mqtt.Client, _data: object, _mid: int, codes: list[ReasonCode], _properties: object
    ) -> None:
        with self._changed:
            self._ready = not any(code.is_failure for code in codes)
            self._refusal = "" if self._ready else "subscription refused"
            self._changed.notify_all()

    def _answered(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        with self._changed:
            self._answers += json.loads(message.payload).get("responses", [])
            self._changed.notify_all()


def _role(gateway: str) -> str:
    return f"gateway-{gateway}"


def _mark(password: str) -> str:
    """Says whether a password (256 random bits) is the one set, without telling it."""
    return hashlib.sha256(b"gatehouse broker mark 1|" + password.encode()).hexdigest()


def _removal(gateway: str) -> list[_Command]:
    return [
        {"command": "deleteClient", "username": gateway},
        {"command": "deleteRole", "rolename": _role(gateway)},
    ]


def _creation(gateway: str, password: str) -> list[_Command]:
    up, down = f"{topics.ROOT}/{gateway}/up/#", f"{topics.ROOT}/{gateway}/down/#"
    rights = [("publishClientSend", up)]
    rights += [
        (kind, topic) for topic in (down, topics.HUB_STATE) for kind in ("subscribePattern", "publishClientReceive")
    ]
    return [
        {
            "command": "createRole",
            "rolename": _role(gateway),
            "acls": [{"acltype": kind, "topic": topic, "priority": 0, "allow": True} for kind, topic in rights],
        },
        {
            "command": "createClient",
            "username": gateway,
            "clientid": gateway,
            "password": password,
            "textdescription": _DESCRIPTION + _mark(password),
            "roles": [{"rolename": _role(gateway), "priority": 0}],
        },
    ]
