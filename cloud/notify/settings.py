"""What an operator sets of notifications: channels, and routes that say which alarms go to which channel.

The addresses here are the only ones that are ever called. Secrets are not here but in files of mode 600 that are named.
"""

from datetime import time
from enum import StrEnum
from pathlib import Path
from string import Formatter
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from cloud.alarms.states import Level, Priority

ChannelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,38}$")]
Recipient = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Email = Annotated[str, StringConstraints(pattern=r"^[^\s@<>,;:\"\\]{1,64}@[A-Za-z0-9.-]{1,190}$")]
Phone = Annotated[str, StringConstraints(pattern=r"^\+?[0-9]{5,18}$")]
Language = Literal["zh-CN", "en"]
MAX_CHANNELS = 64
MAX_BODY = 4_000
_PLACEHOLDERS = {"to", "text", "id", "secret"}


class _Values(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ChannelSettings(_Values):
    """What every channel has."""

    language: Language = "zh-CN"
    per_minute: Annotated[int, Field(ge=1, le=1000)] = 60
    """Messages in any minute; what comes beyond it is joined into one message."""
    timeout_s: Annotated[float, Field(gt=0, le=30)] = 10
    """For a whole attempt, from the connection to the answer's end. How long a name is looked up, the system limits."""
    private: bool = False
    """Whether its host may have a private or loopback address, and be called without TLS."""

    @property
    def recipients(self) -> tuple[str, ...]:
        """Names of those who each get a message; a group's channel has one, which is empty."""
        return ("",)

    @property
    def told_only(self) -> bool:
        """Whether only those get it whom the duty roster tells of the alarm."""
        return False


class _HttpSettings(ChannelSettings):
    url: Annotated[str, StringConstraints(max_length=1000)]
    ca_file: Path | None = None
    """Authorities that sign its certificate; by default those of the system."""

    @model_validator(mode="after")
    def _callable(self) -> Self:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.fragment:
            raise ValueError("url: write https://host/path, without a user")
        if parts.scheme == "http" and not self.private:
            raise ValueError("url: without https only within your own network: set private = true")
        if {"{", "}"} & set(parts.netloc):
            raise ValueError("url: the host is written as it is, without placeholders")
        return self


class ConsoleSettings(ChannelSettings):
    """The pages of the console look at once. They learn of alarms without it too, within a second."""

    kind: Literal["console"]


class WebhookSettings(_HttpSettings):
    """A program of your own; `secret_file` holds the key of its signatures."""

    kind: Literal["webhook"]
    secret_file: Path


class WecomSettings(_HttpSettings):
    """A group robot of WeCom (企业微信); `key_file` holds the `key` of its webhook's address."""

    kind: Literal["wecom"]
    url: str = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send"
    key_file: Path
    per_minute: Annotated[int, Field(ge=1, le=20)] = 18
    """It takes 20 a minute; two are kept for tests and for clocks that differ."""


class DingtalkSettings(_HttpSettings):
    """A group robot of DingTalk (钉钉): the `access_token` of its webhook, and the secret (SEC...) of 加签."""

    kind: Literal["dingtalk"]
    url: str = "https://oapi.dingtalk.com/robot/send"
    token_file: Path
    secret_file: Path
    per_minute: Annotated[int, Field(ge=1, le=20)] = 18
    """It takes 20 a minute, and beyond that nothing for ten minutes."""


class EmailSettings(ChannelSettings):
    """E-mail over SMTP. `to`: a name -> its address; those whose name is that of an account get what it is told."""

    kind: Literal["email"]
    host: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.:-]{0,252}$")]
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    ca_file: Path | None = None
    """Authorities that sign its certificate; by default those of the system."""
    username: str | None = None
    password_file: Path | None = None
    sender: Email
    to: Annotated[dict[Recipient, Email], Field(min_length=1, max_length=500)]
    only_told: bool = False
    """Only those of `to` whom the duty roster tells of the alarm; their names are those of their accounts."""

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if self.security == "none" and (not self.private or self.username):
            raise ValueError("security: none is for a private host (private = true) without a user name")
        if (self.username is None) != (self.password_file is None):
            raise ValueError("username: it needs password_file, and the other way round")
        return self

    @property
    def recipients(self) -> tuple[str, ...]:
        return tuple(self.to)

    @property
    def told_only(self) -> bool:
        return self.only_told


class SuccessTest(_Values):
    """How an answer says that the message was taken: its status, and a field of its JSON if `field` is set."""

    status: tuple[Annotated[int, Field(ge=200, le=299)], ...] = (200,)
    field: Annotated[str, StringConstraints(max_length=200)] | None = None
    """A path of names and numbers: `result.0.code`."""
    equals: str | int | bool = 0


class SmsSettings(_HttpSettings):
    """A text message by the HTTP interface of an operator. `{to}`, `{text}`, `{id}` and `{secret}` are filled in, each
    encoded as its place asks for: percent-encoded in the address and in forms, escaped in JSON."""

    kind: Literal["sms"]
    method: Literal["POST", "GET", "PUT"] = "POST"
    headers: dict[
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,60}$")],
        Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]{0,500}$")],
    ] = {"Content-Type": "application/json"}
    body: Annotated[str, StringConstraints(max_length=MAX_BODY)] = '{{"phone": "{to}", "content": "{text}"}}'
    secret_file: Path | None = None
    success: SuccessTest = SuccessTest()
    max_characters: Annotated[int, Field(ge=40, le=500)] = 130
    to: Annotated[dict[Recipient, Phone], Field(min_length=1, max_length=500)]
    only_told: bool = False
    """As for e-mail."""

    @model_validator(mode="after")
    def _fillable(self) -> Self:
        for text in (self.url, self.body, *self.headers.values()):
            try:
                names = {name for _, name, spec, conversion in Formatter().parse(text) if name is not None}
                plain = all(not spec and not conversion for _, name, spec, conversion in Formatter().parse(text))
            except ValueError as error:
                raise ValueError(
                    f"a placeholder in {text[:60]!r} is not closed: double a brace that is meant"
                ) from error
            if names - _PLACEHOLDERS or not plain:
                raise ValueError(f"placeholders are {{to}}, {{text}}, {{id}} and {{secret}}, not {sorted(names)}")
            if "secret" in names and self.secret_file is None:
                raise ValueError("{secret} needs secret_file")
        return self

    @property
    def recipients(self) -> tuple[str, ...]:
        return tuple(self.to)

    @property
    def told_only(self) -> bool:
        return self.only_told


AnyChannel = Annotated[
    ConsoleSettings | WebhookSettings | WecomSettings | DingtalkSettings | EmailSettings | SmsSettings,
    Field(discriminator="kind"),
]


class LevelName(StrEnum):
    """The levels, as a configuration names them."""

    GUARD = "guard"
    COMMUNITY = "community"
    TOWNSHIP = "township"
    DISTRICT = "district"

    @property
    def level(self) -> Level:
        return Level[self.name]


class QuietHours(_Values):
    """From `since` until `until`, by the site's clock, alarms less urgent than `lets_through` wait until it is over."""

    since: time
    until: time
    lets_through: Priority = Priority.P1

    @model_validator(mode="after")
    def _a_span(self) -> Self:
        if self.since == self.until or self.since.tzinfo or self.until.tzinfo:
            raise ValueError("quiet: write two different times of the site's clock, as 22:00 and 07:00")
        return self


class RouteSettings(_Values):
    """Alarms of a place and all below it that reach one of the levels go to a channel."""

    channel: ChannelName
    levels: Annotated[frozenset[LevelName], Field(min_length=1)] = frozenset(LevelName)
    place: str | None = None
    """A place's code; left out: everywhere."""
    at_least: Priority = Priority.P3
    """The least urgent priority that goes there: 1, 2 or 3."""
    quiet: QuietHours | None = None

    @field_validator("at_least")
    @classmethod
    def _told(cls, value: Priority) -> Priority:
        if value is Priority.JOURNAL:
            raise ValueError("the journal (4) is told to nobody: write 1, 2 or 3")
        return value


class NotifySettings(_Values):
    """Everything that a site may set of notifications."""

    link: Annotated[str, StringConstraints(pattern=r"^https?://[^\s{}]{1,200}$")] | None = None
    """Where people open the console, `https://hub.example.org`; messages then lead to the alarm."""
    give_up_s: Annotated[float, Field(ge=60, le=7 * 86400)] = 2 * 3600
    """A message that could not be sent for so long is given up, and shown as failed."""
    queue_at_most: Annotated[int, Field(ge=10, le=1_000_000)] = 10_000
    """Of one channel. What comes beyond it is not sent, but kept as dropped, and counted."""
    time_zone: str = "Asia/Shanghai"
    """The site's clock: of quiet hours, and of the times in messages."""
    channels: Annotated[dict[ChannelName, AnyChannel], Field(max_length=MAX_CHANNELS)] = {}
    routes: Annotated[dict[ChannelName, RouteSettings], Field(max_length=1000)] = {}

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ValueError, OSError, ZoneInfoNotFoundError) as error:
            raise ValueError(f"there is no time zone {value!r}: write one like Asia/Shanghai") from error
        return value

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @model_validator(mode="after")
    def _routes_lead_somewhere(self) -> Self:
        for name, route in self.routes.items():
            if route.channel not in self.channels:
                raise ValueError(f"routes.{name}.channel: there is no channel {route.channel!r}")
        return self
