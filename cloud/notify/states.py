"""The words for how far a message is, and for why it could not be sent."""

from enum import StrEnum


class State(StrEnum):
    """Of a message."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"
    """Given up: it will not be sent."""
    MOOT = "moot"
    """Its alarms were closed before it could be sent."""


class Ended(StrEnum):
    """Of a notice that came into no message."""

    MOOT = "moot"
    DROPPED = "dropped"
    """The channel's queue was full, or the channel is in the configuration no longer."""


class Failure(StrEnum):
    """Why an attempt failed."""

    NAME_UNKNOWN = "name_unknown"
    ADDRESS_FORBIDDEN = "address_forbidden"
    """The host has a private address, and the channel is not marked as private."""
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed_out"
    TLS_FAILED = "tls_failed"
    REDIRECTED = "redirected"
    """A redirect is not followed."""
    RATE_LIMITED = "rate_limited"
    WRONG_CREDENTIALS = "wrong_credentials"
    SECRET_UNREADABLE = "secret_unreadable"  # noqa: S105 (the name of a failure)
    REFUSED = "refused"
    """The other side does not want this message."""
    RECIPIENT_REFUSED = "recipient_refused"
    RECIPIENT_DEFERRED = "recipient_deferred"
    """Not now (greylisting, a full mailbox): this recipient is tried again later, others at once."""
    SERVER_FAILED = "server_failed"
    ANSWER_NOT_UNDERSTOOD = "answer_not_understood"
    ANSWER_TOO_LARGE = "answer_too_large"
    RECIPIENT_GONE = "recipient_gone"
    """It is in the configuration no longer."""
    PROGRAM_FAULT = "program_fault"

    @property
    def is_final(self) -> bool:
        """Whether sending the same message again is of no use, while others may well go through."""
        return self in (Failure.REFUSED, Failure.RECIPIENT_REFUSED, Failure.RECIPIENT_GONE)

    @property
    def is_of_message(self) -> bool:
        """Whether it says nothing about the channel as a whole, which goes on with other messages."""
        return self.is_final or self is Failure.RECIPIENT_DEFERRED


class DeliveryFailed(Exception):
    """A message was not taken. `detail` is for a person and holds no secret; at most 200 characters."""

    def __init__(self, failure: Failure, detail: str = "", wait_s: float | None = None) -> None:
        super().__init__(f"{failure.value}: {detail}" if detail else failure.value)
        self.failure = failure
        self.detail = detail[:200]
        self.wait_s = wait_s
        """How long the other side wants to hear nothing."""
