"""A small disk of a test's own, to be filled."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(folder: Path, size_mib: int = 24) -> Iterator[Path]:
    """Mount a file system of `size_mib` MiB at `folder` (made here) until the block ends. Needs root, or sudo."""
    folder.mkdir()
    _as_root("mount", "-t", "tmpfs", "-o", f"size={size_mib}m,mode=0777", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        _as_root("umount", "--lazy", str(folder))


def fill(folder: Path) -> Path:
    """Take all that is left of a disk, as another program may."""
    other = folder / "somebody-elses-log"
    with other.open("ab", buffering=0) as file:
        for size in (1024 * 1024, 4096):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return other


def _as_root(*command: str) -> None:
    prefix = () if os.geteuid() == 0 else ("sudo", "-n")
    try:
        done = subprocess.run([*prefix, *command], capture_output=True, text=True, check=False)
        told = done.stderr.strip()
        failed = done.returncode != 0
    except FileNotFoundError as error:
        told, failed = str(error), True
    assert not failed, (
        f"this test fills a disk of its own and so needs {command[0]}: run it as root, or let sudo run "
        f"{command[0]} without a password ({told})"
    )
