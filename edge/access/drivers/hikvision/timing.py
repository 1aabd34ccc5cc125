"""How long the driver waits for what."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Waits, in seconds."""

    retry_s: float = 0.5
    longest_retry_s: float = 30.0
    locked_retry_s: float = 60.0
    """After a refused password. A device locks an address out after some five wrong ones, for half an hour."""
    longest_locked_retry_s: float = 900.0
    steady_s: float = 30.0
    """A connection that held for so long begins the back-off anew."""
    gap_s: float = 1.0
    """How long a missing number may still come by itself before the log is searched for it."""
    search_retry_s: float = 30.0
    roster_retry_s: float = 300.0
    """When the device is asked again to take what it refused."""

    settings_s: float = 600.0
    """How often the device's settings are compared with the site file's."""
