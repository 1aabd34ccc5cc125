"""What is kept: clips, recordings, gaps and holds, in SQLite beside the gateway's other state.

The video lies in a folder that may be another disk. The folder has an identity, which the index knows: an empty mount
point is never taken for the disk that should be mounted there. Thread-safe; a second process (the command line) may
read and add holds at the same time.
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from uuid import uuid4

from edge.durable import write_durably
from edge.keeping.errors import IndexFault

_VERSION = 1
_BUSY_S = 5.0
_IDENTITY = "identity"


class Grade(StrEnum):
    """What a piece of video is worth, least first."""

    RING = "ring"
    """What the memory has no room for, kept for a while for clips that begin there."""
    RECORDING = "recording"
    ORDINARY = "ordinary"
    """A clip without an alarm."""
    ALARM = "alarm"


CLIP_GRADES = (Grade.ORDINARY, Grade.ALARM)
FILM_GRADES = (Grade.RING, Grade.RECORDING)


class PieceState(StrEnum):
    WRITING = "writing"
    KEPT = "kept"


@dataclass(frozen=True)
class Piece:
    """A file of video. Times are milliseconds since the epoch; `path` is relative to the folder; `plan` is JSON.

    `told`: its `clip.kept` was recorded; `sent`: the hub has it, or is not to get it.
    """

    id: str
    camera: str
    grade: Grade
    since_ms: int
    until_ms: int
    path: str
    size_bytes: int = 0
    sha256: str = ""
    state: PieceState = PieceState.WRITING
    told: bool = False
    sent: bool = False
    plan: str = "{}"


@dataclass(frozen=True)
class Hold:
    """Nothing of this camera (None: of any) between these moments is deleted until the hold is ended."""

    id: str
    camera: str | None
    since_ms: int
    until_ms: int
    why: str
    made_ms: int


@dataclass(frozen=True)
class Usage:
    """How much there is of a grade, and how much of it came since a moment."""

    pieces: int
    size_bytes: int
    oldest_ms: int | None


_TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE piece (
        id TEXT PRIMARY KEY, camera TEXT NOT NULL, grade TEXT NOT NULL, since_ms INTEGER NOT NULL,
        until_ms INTEGER NOT NULL, path TEXT NOT NULL UNIQUE, size_bytes INTEGER NOT NULL, sha256 TEXT NOT NULL,
        state TEXT NOT NULL, told INTEGER NOT NULL, sent INTEGER NOT NULL, plan TEXT NOT NULL)""",
    "CREATE INDEX piece_by_time ON piece (grade, state, since_ms)",
    "CREATE INDEX piece_sizes ON piece (grade, camera, since_ms, size_bytes)",
    "CREATE INDEX piece_to_send ON piece (sent, state, grade)",
    """CREATE TABLE hold (
        id TEXT PRIMARY KEY, camera TEXT, since_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL, why TEXT NOT NULL,
        made_ms INTEGER NOT NULL)""",
    """CREATE TABLE gap (
        camera TEXT NOT NULL, since_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL,
        PRIMARY KEY (camera, since_ms)) WITHOUT ROWID""",
)
_COLUMNS = "id, camera, grade, since_ms, until_ms, path, size_bytes, sha256, state, told, sent, plan"
_HELD = """EXISTS (SELECT 1 FROM hold WHERE (hold.camera IS NULL OR hold.camera = piece.camera)
    AND hold.since_ms < piece.until_ms AND hold.until_ms > piece.since_ms)"""


class KeepingIndex:
    """The open index.

    Args:
        file: of the database.
        folder: of the video; made here if the index is new.

    Raises:
        IndexFault: if the folder is not the one that the index knows, or the file is no index.
        OSError: if the disk refuses.
    """

    def __init__(self, file: Path, folder: Path) -> None:
        self._lock = threading.Lock()
        self.folder = folder
        try:
            self._database = sqlite3.connect(file, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._make_tables()
        except sqlite3.Error as error:
            raise IndexFault(f"{file}: {error}; delete it to begin anew, the video stays") from error
        file.chmod(0o600)
        try:
            self._check_identity()
        except (IndexFault, OSError):
            self._database.close()
            raise

    def close(self) -> None:
        with self._lock, suppress(sqlite3.Error):
            self._database.close()

    # --- pieces ---

    def add(self, piece: Piece) -> None:
        """Note a piece, or note it anew.

        Raises:
            sqlite3.Error: if the disk refuses, here and below.
        """
        values = (
            piece.id, piece.camera, piece.grade, piece.since_ms, piece.until_ms, piece.path, piece.size_bytes,
            piece.sha256, piece.state, piece.told, piece.sent, piece.plan,
        )  # fmt: skip
        marks = ", ".join("?" * len(values))
        with self._writing() as database:
            database.execute(f"INSERT OR REPLACE INTO piece ({_COLUMNS}) VALUES ({marks})", values)  # noqa: S608

    def remove(self, piece_id: str) -> None:
        with self._writing() as database:
            database.execute("DELETE FROM piece WHERE id = ?", (piece_id,))

    def find(self, piece_id: str) -> Piece | None:
        return next(iter(self._pieces("id = ?", (piece_id,))), None)

    def mark(self, piece: Piece, *, told: bool | None = None, sent: bool | None = None) -> Piece:
        """Note that a piece was told or sent."""
        changed = replace(piece, told=piece.told if told is None else told, sent=piece.sent if sent is None else sent)
        with self._writing() as database:
            database.execute(
                "UPDATE piece SET told = max(told, ?), sent = max(sent, ?) WHERE id = ?",
                (changed.told, changed.sent, piece.id),
            )
        return changed

    def unfinished(self) -> list[Piece]:
        """What was being written when the gateway ended."""
        return self._pieces("state = ?", (PieceState.WRITING,))

    def untold(self) -> list[Piece]:
        return self._pieces("state = ? AND NOT told AND grade IN (?, ?)", (PieceState.KEPT, *CLIP_GRADES))

    def to_send(self, limit: int) -> list[Piece]:
        """Clips that the hub has not: alarms first, then the oldest."""
        where = "NOT sent AND told AND state = ? AND grade IN (?, ?) ORDER BY grade = ? DESC, since_ms LIMIT ?"
        return self._pieces(where, (PieceState.KEPT, *CLIP_GRADES, Grade.ALARM, limit))

    def all_kept(self) -> list[Piece]:
        return self._pieces("state = ?", (PieceState.KEPT,))

    def oldest(
        self,
        grade: Grade,
        limit: int,
        *,
        before_ms: int | None = None,
        camera: str | None = None,
        only_sent: bool = False,
    ) -> list[Piece]:
        """The oldest finished pieces of a grade that no hold protects; `only_sent`: of which the hub has a copy."""
        where, values = f"grade = ? AND state = ? AND NOT {_HELD}", [grade, PieceState.KEPT]
        more: list[str | int] = [*values]
        if before_ms is not None:
            where += " AND until_ms < ?"
            more.append(before_ms)
        if camera is not None:
            where += " AND camera = ?"
            more.append(camera)
        if only_sent:
            where += " AND sent"
        return self._pieces(f"{where} ORDER BY since_ms LIMIT ?", (*more, limit))

    def film(self, camera: str, since_ms: int, until_ms: int) -> list[Piece]:
        """The finished recordings of a camera that overlap an interval, oldest first."""
        where = "camera = ? AND grade IN (?, ?) AND state = ? AND since_ms < ? AND until_ms > ? ORDER BY since_ms"
        return self._pieces(where, (camera, *FILM_GRADES, PieceState.KEPT, until_ms, since_ms))

    def usage(self, *, grades: Sequence[Grade], camera: str | None = None, since_ms: int = 0) -> Usage:
        """How much there is of some grades, of one camera or all, of the time after a moment."""
        marks = ", ".join("?" * len(grades))
        query = f"SELECT count(*), coalesce(sum(size_bytes), 0), min(since_ms) FROM piece WHERE grade IN ({marks})"  # noqa: S608
        values: list[str | int] = [*grades]
        query += " AND since_ms >= ?"
        values.append(since_ms)
        if camera is not None:
            query += " AND camera = ?"
            values.append(camera)
        with self._lock:
            count, size_bytes, oldest_ms = self._database.execute(query, values).fetchone()
        return Usage(count, size_bytes, oldest_ms)

    # --- gaps and holds ---

    def add_gap(self, camera: str, since_ms: int, until_ms: int) -> None:
        with self._writing() as database:
            database.execute("INSERT OR REPLACE INTO gap VALUES (?, ?, ?)", (camera, since_ms, until_ms))

    def gaps(self, camera: str, since_ms: int = 0) -> list[tuple[int, int]]:
        """Where the recording of a camera has none, oldest first."""
        with self._lock:
            found = self._database.execute(
                "SELECT since_ms, until_ms FROM gap WHERE camera = ? AND until_ms > ? ORDER BY since_ms",
                (camera, since_ms),
            ).fetchall()
        return [(since, until) for since, until in found]

    def forget_gaps(self, before_ms: int) -> None:
        with self._writing() as database:
            database.execute("DELETE FROM gap WHERE until_ms < ?", (before_ms,))

    def hold(self, hold: Hold) -> None:
        """Begin a hold; one with the same id is replaced."""
        with self._writing() as database:
            database.execute(
                "INSERT OR REPLACE INTO hold VALUES (?, ?, ?, ?, ?, ?)",
                (hold.id, hold.camera, hold.since_ms, hold.until_ms, hold.why, hold.made_ms),
            )

    def end_hold(self, hold_id: str) -> bool:
        """End a hold; whether there was one."""
        with self._writing() as database:
            return database.execute("DELETE FROM hold WHERE id = ?", (hold_id,)).rowcount > 0

    def holds(self) -> list[Hold]:
        with self._lock:
            found = self._database.execute("SELECT * FROM hold ORDER BY made_ms").fetchall()
        return [Hold(*row) for row in found]

    # --- inside ---

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._database:
            yield self._database

    def _pieces(self, where: str, values: Sequence[str | int]) -> list[Piece]:
        with self._lock:
            rows = self._database.execute(f"SELECT {_COLUMNS} FROM piece WHERE {where}", tuple(values)).fetchall()  # noqa: S608
        return [_piece(row) for row in rows]

    def _make_tables(self) -> None:
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version == _VERSION:
            return
        if version:
            raise IndexFault(f"the index of video is of version {version}; this program knows {_VERSION}")
        with self._database:
            self._database.execute("BEGIN")
            for statement in _TABLES:
                self._database.execute(statement)
            self._database.execute(f"PRAGMA user_version = {_VERSION}")

    def _check_identity(self) -> None:
        found = self._database.execute("SELECT value FROM meta WHERE key = ?", (_IDENTITY,)).fetchone()
        file = self.folder / _IDENTITY
        on_disk = file.read_text("ascii", "replace").strip() if file.is_file() else None
        if found is not None and found[0] != on_disk:
            what = "is not there" if on_disk is None else "is another"
            raise IndexFault(
                f"{self.folder}: the disk with the video {what}: mount it; or, if it is gone for good, "
                "delete video.db in the state folder to begin anew"
            )
        if found is None:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if on_disk is None:
                on_disk = str(uuid4())
                write_durably(file, f"{on_disk}\n".encode())
            with self._database:
                self._database.execute("INSERT INTO meta VALUES (?, ?)", (_IDENTITY, on_disk))


def _piece(row: Sequence[object]) -> Piece:
    values = list(row)
    values[2], values[8] = Grade(str(row[2])), PieceState(str(row[8]))
    values[9], values[10] = bool(row[9]), bool(row[10])
    return Piece(*values)  # type: ignore[arg-type]  # the columns' types are the table's
