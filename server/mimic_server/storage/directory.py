"""The directory that a server keeps its data in, and the lock that keeps a second server out."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from mimic_server.domain.errors import PreconditionError


class DataDirectory:
    """A data directory, held by this process until it is closed or the process ends, however it ends."""

    IN_USE = "DATA_DIRECTORY_IN_USE"
    """Reason of the error when another process holds it."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def open(cls, path: Path) -> Self:
        """Makes the directory if need be, readable by its owner alone, and locks it.

        Raises:
            PreconditionError: Another process holds it, or it cannot be written.
        """
        path = path.expanduser().absolute()
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(path / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise PreconditionError(
                "DATA_DIRECTORY_UNUSABLE",
                f"The data directory {path} cannot be used ({error.strerror}):"
                " make it writable, or name another",
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(lock)
            raise PreconditionError(
                cls.IN_USE,
                f"Another Mimic server (process {holder}) uses the data directory {path}:"
                " stop it, or name another directory",
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        return cls(path, lock)

    @property
    def database_url(self) -> str:
        """Address of the SQLite database in it."""
        return f"sqlite:///{self.path / 'mimic.db'}"

    def close(self) -> None:
        """Lets another server have it. A second call does nothing."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
