"""What an operator sets of the web application; apart from it, as whoever reads a configuration needs no routes."""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork

from cloud.alarms.limits import Limits
from cloud.categories.kinds import CategoryKinds
from cloud.duty.settings import DutySettings
from cloud.notify.settings import NotifySettings
from cloud.retention import RetentionDays
from cloud.sign_on.settings import OidcSettings


class SessionSettings(BaseModel):
    """How long a log-in lasts. An open live page counts as use."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    idle_minutes: Annotated[int, Field(ge=5, le=24 * 60)] = 30
    absolute_hours: Annotated[int, Field(ge=1, le=7 * 24)] = 13

    @property
    def idle(self) -> timedelta:
        return timedelta(minutes=self.idle_minutes)

    @property
    def absolute(self) -> timedelta:
        return timedelta(hours=self.absolute_hours)


class AppSettings(BaseModel):
    """What an operator sets of the web application."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allowed_hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    """The names under which browsers and gateways reach the hub, without ports."""
    https: bool = False
    """Whether they reach it by HTTPS (a proxy in front of it): cookies are then `Secure`."""
    trusted_proxies: tuple[IPvAnyNetwork, ...] = ()
    """Addresses or networks of proxies whose X-Forwarded-For is believed, for the limits on log-ins and enrolment."""
    retention: RetentionDays = RetentionDays()
    oidc: OidcSettings | None = None
    """A provider by which staff may log in, beside their passwords."""
    categories: CategoryKinds = CategoryKinds()
    days_without_purpose: Annotated[int, Field(ge=1, le=92)] = 7
    """How far back who states no purpose reads events."""
    sessions: SessionSettings = SessionSettings()
    """How long a log-in lasts."""
    alarms: Limits = Limits()
    """How soon each level must act, and what counts as a flood or as chatter."""
    duty: DutySettings = DutySettings()
    """How soon a handover should be accepted."""
    notify: NotifySettings = NotifySettings()
    """Who is told of alarms outside the console, and how."""
