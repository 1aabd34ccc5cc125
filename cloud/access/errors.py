"""What the management of doors refuses, beside entries that break a rule (`cloud.register.errors.RegisterError`)."""

from cloud.register.errors import RegisterError


class NotThere(RegisterError):
    """What is asked for is not in the register."""


class InUse(RegisterError):
    """It cannot go while something else names it."""


class NotNow(RegisterError):
    """The state of things does not allow it: a lockdown that is over, the same person twice."""
