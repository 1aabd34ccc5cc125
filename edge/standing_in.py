"""A database in memory that stands in for a file while the disk refuses it. It never writes to the file."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path


def memory_copy(path: Path) -> sqlite3.Connection:
    """A database in memory with what the file at `path` holds; an empty one if the file cannot be read either.

    A file in WAL mode normally needs another beside it, which a full disk has no room for. With exclusive locking
    SQLite keeps that index in memory (https://sqlite.org/wal.html, section 8), so that a file on a full disk is read.
    """
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    if path.is_file():
        with suppress(sqlite3.Error), closing(sqlite3.connect(path, isolation_level=None)) as file:
            file.execute("PRAGMA locking_mode = EXCLUSIVE")
            file.backup(memory)
    return memory
