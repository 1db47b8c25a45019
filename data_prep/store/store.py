"""Storage of shards: a local folder or an object store (`s3://`, `gs://`) with the same operations."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from io import SEEK_SET, BufferedReader, RawIOBase
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from filelock import lock_descriptor

from data_prep.errors import DataError
from data_prep.files.files import make_folder, sync_folder, write_error, written_whole
from data_prep.store.object_stores import connected, error_words, require_no_secrets

Location = Path | str
"""A local folder, or the URI of a folder in an object store (`s3://bucket/folder`)."""

SCHEMES = ("s3", "gs")


class Store(Protocol):
    """A folder with atomic writes. Names are relative, with `/` as separator."""

    def path_text(self, name: str) -> str:
        """Return the full path or URI of `name`, for messages."""
        ...

    def read(self, name: str) -> bytes:
        """Return the bytes of `name`.

        Raises:
            FileNotFoundError: if there is no such file.
            DataError: if it can't be read.
        """
        ...

    def open(self, name: str) -> BinaryIO:
        """Return `name` as a seekable file opened for reading. Raises as `read`."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Write `name` atomically.

        Raises:
            AscError: if there is no space, or the store can't be written.
        """
        ...

    def create(self, name: str, data: bytes) -> bool:
        """Write `name` unless it exists; return whether it was written, True for only one of concurrent writers.

        Raises as `write`.
        """
        ...

    def remove(self, name: str) -> None:
        """Remove `name` if it is there."""
        ...

    def names(self) -> list[str]:
        """Return the sorted names of all files, including temporary files of killed writers."""
        ...

    def locked(self) -> Any:
        """Return a context in which no other process prepares into this store, as far as the store supports it."""
        ...


def open_store(location: Location) -> Store:
    """Return the store at a local folder or at an `s3://` or `gs://` URI.

    Credentials, region and endpoint of an object store come from their usual environment variables
    (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, `GOOGLE_APPLICATION_CREDENTIALS`, …) or from the URI's query
    (`s3://bucket/folder?endpoint_override=http://host:9000`); see `data_prep.store.object_stores`.

    Raises:
        DataError: if the URI is invalid.
    """
    if isinstance(location, Path) or "://" not in location:
        return LocalStore(Path(location))
    return ObjectStore(location)


def parse_location(text: str) -> Location:
    """Return a user's text as the location of shards: a path, or a URI of one of `SCHEMES`.

    Raises:
        DataError: if it is a URI of another scheme, or contains credentials.
    """
    require_no_secrets(text)
    scheme, separator, rest = text.partition("://")
    if not separator:
        return Path(text)
    if scheme == "file":
        return Path(rest)
    if scheme not in SCHEMES:
        known = ", ".join(f"{name}://" for name in SCHEMES)
        raise DataError(f"{text}: unknown scheme {scheme}://. Give a local folder or a URI with {known}.")
    return text


def location_text(location: Location) -> str:
    """Return a location as text for another process: a URI, or an absolute path."""
    return location if isinstance(location, str) and "://" in location else str(Path(location).absolute())


def location_inside(location: Location, name: str) -> Location:
    """Return the location of the subfolder `name`; a URI keeps its query."""
    if isinstance(location, Path) or "://" not in location:
        return Path(location) / name
    base, mark, query = location.partition("?")
    return f"{base.rstrip('/')}/{name}{mark}{query}"


class LocalStore:
    """A local folder, or a folder on a shared file system."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path_text(self, name: str) -> str:
        """Return the path of `name`."""
        return str(self.root / name)

    def read(self, name: str) -> bytes:
        """Return the bytes of `name`."""
        with self.open(name) as file:
            return file.read()

    def open(self, name: str) -> BinaryIO:
        """Return `name` opened for reading."""
        path = self.root / name
        try:
            if path.exists() and not path.is_file():  # a pipe or a device would never end
                raise DataError(f"{path}: must be a regular file; it is a folder, pipe or device.")
            return path.open("rb")
        except FileNotFoundError:
            raise
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from None

    def write(self, name: str, data: bytes) -> None:
        """Write a temporary file, flush it to disk, and rename it to `name`."""
        with written_whole(self.root / name) as temporary:
            temporary.write_bytes(data)

    def create(self, name: str, data: bytes) -> bool:
        """Write a temporary file and link it to `name`, which fails if `name` exists, on NFS as well."""
        path = self.root / name
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
        try:
            make_folder(path.parent)
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, path)
            sync_folder(path.parent)
        except FileExistsError:
            return False
        except OSError as error:
            raise write_error(path, error) from error
        finally:
            with contextlib.suppress(OSError):  # the parent is a file: the failure is already reported
                temporary.unlink(missing_ok=True)
        return True

    def remove(self, name: str) -> None:
        """Remove `name` if it is there."""
        (self.root / name).unlink(missing_ok=True)

    def names(self) -> list[str]:
        """Return the names of all files below the folder."""
        return sorted(path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder for this process; the lock is released when the process ends, even if it is killed.

        Raises:
            DataError: if another process holds the lock.
            AscError: if the folder can't be created.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            file = (self.root / ".lock").open("w")
        except OSError as error:
            raise write_error(self.root, error) from error
        with file:
            if not lock_descriptor(file.fileno(), blocking=False):
                raise DataError(
                    f"{self.root}: another process is preparing into this folder. Wait until it ends, or choose "
                    "another folder."
                )
            yield


class ObjectStore:
    """A folder in an object store. Objects appear when their upload is complete, so readers never see partial ones.

    Object stores have no lock that is released when a process is killed; users must make sure that only one machine
    prepares into a folder at a time. Otherwise objects of both are mixed; the manifest's checksums detect that.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri.partition("?")[0].rstrip("/")
        self._store = connected(uri)

    def path_text(self, name: str) -> str:
        """Return the URI of `name`."""
        return f"{self._uri}/{name}"

    def read(self, name: str) -> bytes:
        """Return the bytes of `name`."""
        import obstore

        with _as_data_error(self.path_text(name), "read"):
            return bytes(obstore.get(self._store, name).bytes())

    def open(self, name: str) -> BinaryIO:
        """Return `name` opened for reading; only the parts that are read are downloaded."""
        import obstore

        with _as_data_error(self.path_text(name), "read"):
            reader = obstore.open_reader(self._store, name)
        return cast(BinaryIO, BufferedReader(_ObjectFile(reader, self.path_text(name))))

    def write(self, name: str, data: bytes) -> None:
        """Upload `name`."""
        import obstore

        with _as_data_error(self.path_text(name), "written", FileNotFoundError):
            obstore.put(self._store, name, bytes(data))  # Arrow passes its own buffers

    def create(self, name: str, data: bytes) -> bool:
        """Upload `name` unless it exists.

        The condition is `If-None-Match: *` on S3 and generation 0 on Google Cloud Storage. If the response to an upload
        is lost, the retry finds the object of the first attempt, recognized by equal bytes. `data` must therefore
        contain something unique to the writer.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError

        with _as_data_error(self.path_text(name), "written", FileNotFoundError):
            try:
                obstore.put(self._store, name, data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                with contextlib.suppress(FileNotFoundError):  # removed since
                    return self.read(name) == data
                return False
        return True

    def remove(self, name: str) -> None:
        """Remove `name` if it is there."""
        import obstore

        with contextlib.suppress(FileNotFoundError), _as_data_error(self.path_text(name), "removed"):
            obstore.delete(self._store, name)

    def names(self) -> list[str]:
        """Return the names of all objects in the folder, without empty ones, which some clients create for folders."""
        import obstore

        with _as_data_error(self._uri, "listed", FileNotFoundError):
            return sorted(found["path"] for some in obstore.list(self._store) for found in some if found["size"])

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Check that the store can be reached. Does not lock; see the class."""
        self.names()
        yield


class _ObjectFile(RawIOBase):
    """obstore's reader of an object as a Python file object, as pyarrow requires."""

    def __init__(self, reader: Any, path_text: str) -> None:
        self._reader = reader
        self._path_text = path_text

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` and return the number of bytes read, fewer at the end."""
        with _as_data_error(self._path_text, "read", FileNotFoundError):
            data = self._reader.read(len(buffer))
        buffer[: len(data)] = bytes(data)
        return len(data)

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        """Move to `offset` from `whence` and return the position in the object."""
        return int(self._reader.seek(offset, whence))

    def tell(self) -> int:
        """Return the position in the object."""
        return int(self._reader.tell())


CREDENTIALS = "Check the URI, and that the credentials in the environment permit reading and writing."


@contextmanager
def _as_data_error(path_text: str, done: str, *others: type[Exception]) -> Iterator[None]:
    """Raise errors of the object store, and `others`, as a DataError: `path_text` cannot be `done`."""
    from obstore.exceptions import BaseError

    failures: tuple[type[Exception], ...] = (BaseError, *others)
    try:
        yield
    except failures as error:
        raise DataError(f"{path_text}: cannot be {done}: {error_words(error)}. {CREDENTIALS}") from None
