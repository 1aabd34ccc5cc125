"""What an operator sets of the web application; apart from it, as whoever reads a configuration needs no routes."""

from pydantic import BaseModel, ConfigDict, IPvAnyNetwork

from cloud.alarms.limits import Limits
from cloud.retention import RetentionDays


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
    alarms: Limits = Limits()
    """How soon each level must act, and what counts as a flood or as chatter."""
