"""What the hub refuses of alarms. Each is told to a person, so each says what is in the way and what to do."""

from cloud.access.errors import NotNow, NotThere


class NoSuchAlarm(NotThere):
    """There is none, or it lies outside what the account may see: it is not said which."""

    def __init__(self) -> None:
        super().__init__("alarm", "there is no such alarm", "the list of alarms shows those there are")


class IllegalMove(NotNow):
    """The state of the alarm does not allow it."""


class AlreadyTaken(NotNow):
    """Somebody else was faster; the text says who."""

    def __init__(self, username: str) -> None:
        super().__init__("alarm", f"{username} has taken it on already", "look at it, or take another one")
        self.username = username
