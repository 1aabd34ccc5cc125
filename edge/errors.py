"""Errors of the gateway that a person reads: each names the thing, the cause and the remedy."""


class EdgeError(Exception):
    """Something the person who runs the gateway can put right."""


class IdentityError(EdgeError):
    """The gateway has no identity, or one that cannot be used."""


class EnrolmentFailed(EdgeError):
    """The hub did not take the gateway in."""


class ConfigurationError(EdgeError):
    """The site's configuration has faults; `faults` names each with its line."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults
