"""A process that works on a database and is killed in the middle."""

import os
import signal
from collections.abc import Callable
from typing import Any

from sqlalchemy import event

from cloud.database.engine import Database, open_database


def killed_before(database: Database, statements: int, work: Callable[[Database], object]) -> bool:
    """Let a process of its own work, killed before its n-th statement or commit; whether it was, or ended before."""
    child = os.fork()
    if child == 0:
        try:
            own = open_database(database.engine.url.render_as_string(hide_password=False))
            left = statements

            def count(*_: Any) -> None:
                nonlocal left
                left -= 1
                if left <= 0:
                    os.kill(os.getpid(), signal.SIGKILL)

            event.listen(own.engine, "before_cursor_execute", count)
            event.listen(own.engine, "commit", count)
            work(own)
            os._exit(0)
        except BaseException:  # noqa: BLE001 (the child never returns into the tests)
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    was_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert was_killed or status == 0, f"the process failed by itself at statement {statements}"
    return was_killed
