"""The record of what Chaffinch wrote into a folder of the user's: nothing else there is removed or replaced."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from chaffinch.cache import atomic_path
from chaffinch.errors import DataError


class Owned:
    """The files of a folder that Chaffinch wrote, by a record in a file; a name alone proves nothing.

    Args:
        folder: the user's folder.
        record: the file that keeps the record; a missing or damaged one lists nothing.
        also: files that a manifest lists, relative to `folder`.
    """

    def __init__(self, folder: Path, record: Path, also: Iterable[str] = ()) -> None:
        self.folder, self._record = folder, record
        self._files, self._making = set(also), set[str]()
        try:
            kept = json.loads(record.read_text("utf-8"))
            self._files |= {str(name) for name in kept["files"]}
            self._making |= {str(name) for name in kept["making"]}
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            pass

    def lists(self, name: str) -> bool:
        """Whether a file was written by Chaffinch, or is part of what it was about to write."""
        return name in self._files or any(name == one or name.startswith(f"{one}/") for one in self._making)

    def check(self, *names: str) -> None:
        """Refuses to touch entries of the folder that hold a file without a record.

        Raises:
            DataError: naming the first such file.
        """
        for name in names:
            for file in files_of(self.folder, name):
                if not self.lists(file):
                    message = f"{self.folder / file} would be replaced or removed, but Chaffinch has no record of it"
                    raise DataError(f"{message}\nhint: move it elsewhere, or give another folder")

    def claim(self, *names: str) -> None:
        """Records entries before they are written, so that a killed process leaves nothing that nobody owns.

        Raises:
            DataError: one of them holds a file without a record.
        """
        self.check(*names)
        self._making |= set(names)
        self._save()

    def written(self, *names: str) -> None:
        """Records the files that entries consist of, now that they are complete."""
        for name in names:
            self._files = {file for file in self._files if file != name and not file.startswith(f"{name}/")}
            self._files |= set(_files_of(self.folder, name))
        self._making -= set(names)
        self._save()

    def add(self, *files: str) -> None:
        """Records files that are about to be written."""
        self._files |= set(files)
        self._save()

    def replace(self, *files: str) -> None:
        """Records that of all files only these are left."""
        self._files, self._making = set(files), set()
        self._save()

    def remove(self, *names: str) -> None:
        """Removes entries and the folders that this leaves empty.

        Raises:
            DataError: one of them holds a file without a record; nothing is removed then.
        """
        self.check(*names)
        for name in names:
            for file in files_of(self.folder, name):
                if self.lists(file):
                    (self.folder / file).unlink(missing_ok=True)
            _remove_empty(self.folder / name)
        self.written(*names)

    def _save(self) -> None:
        with atomic_path(self._record) as temporary:
            temporary.write_text(json.dumps({"files": sorted(self._files), "making": sorted(self._making)}), "utf-8")
            with temporary.open("rb") as file:
                os.fsync(file.fileno())


def files_of(folder: Path, *names: str) -> list[str]:
    """The files that entries of a folder consist of, relative to it, sorted; links are files and are not followed."""
    return sorted(file for name in names for file in _files_of(folder, name))


def _remove_empty(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        for at, _, _ in os.walk(path, topdown=False):
            with suppress(OSError):
                Path(at).rmdir()


def _files_of(folder: Path, name: str) -> Iterator[str]:
    path = folder / name
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        yield name
        return
    for at, folders, files in os.walk(path):
        links = [one for one in folders if (Path(at) / one).is_symlink()]
        for one in files + links:
            yield (Path(at) / one).relative_to(folder).as_posix()
