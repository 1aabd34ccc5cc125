"""What the hub refuses of matters."""

from cloud.access.errors import NotThere
from cloud.register.errors import RegisterError


class NoSuchMatter(NotThere):
    """There is none, or it lies outside what the account may see: it is not said which."""

    def __init__(self) -> None:
        super().__init__("matter", "there is no such matter", "the list of matters shows those there are")


class NoSuchSite(NotThere):
    """A place or grid is not there, or not for this account."""

    def __init__(self, field: str) -> None:
        super().__init__(field, f"there is no such {field}", "choose one of your own part of the hub")


class WrongGrid(RegisterError):
    """Place and grid do not belong together."""

    def __init__(self) -> None:
        super().__init__("grid", "the place does not lie in this grid", "leave the grid out, or name the place's own")
