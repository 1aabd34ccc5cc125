"""What the register does not accept."""


class RegisterError(ValueError):
    """An entry that breaks a rule of the register; names the field, what is wrong and what helps, but no secret."""

    def __init__(self, field: str, problem: str, remedy: str) -> None:
        super().__init__(f"{field}: {problem}; {remedy}")
        self.field = field
        self.problem = problem
        self.remedy = remedy
