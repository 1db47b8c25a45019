"""Loading data sets, from a server of the test's own."""

import hashlib
import io
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from data_prep.download import download as module
from data_prep.download.download import STATE_NAME, download, needed_bytes
from data_prep.download.sets import KNOWN, Archive, DataSet, load_set
from data_prep.errors import AscError, DataError

TOP = "TAU-made"


class Server(ThreadingHTTPServer):
    """Sends `files`, from the middle where asked, and breaks off after `n_broken` bytes as often as `n_breaks`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, int]] = []
        self.n_breaks = 0
        self.n_broken = 1000

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}?download=1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = self.path.removeprefix("/").split("?")[0]
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self.server.requests.append((name, start))
        data = self.server.files.get(name)
        if data is None or start >= len(data):
            self.send_error(404 if data is None else 416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if self.server.n_breaks:
            self.server.n_breaks -= 1
            self.wfile.write(data[start : start + self.server.n_broken])
            self.close_connection = True
            return
        self.wfile.write(data[start:])

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def archive(**members: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as packed:
        for name, content in members.items():
            packed.writestr(f"{TOP}/{name.replace('__', '/')}", content)
    return data.getvalue()


@pytest.fixture
def made(server) -> DataSet:
    """A set of three archives as Zenodo has them."""
    server.files = {
        f"{TOP}.meta.zip": archive(**{"meta.csv": b"filename\n"}),
        f"{TOP}.audio.1.zip": archive(**{"audio__0.wav": bytes(range(256)) * 20}),
        f"{TOP}.audio.2.zip": archive(**{"audio__1.wav": b"one" * 2000}),
    }
    archives = [Archive(server.url(n), hashlib.md5(data).hexdigest(), len(data)) for n, data in server.files.items()]
    return DataSet("made", "free", tuple(archives))


def tree(folder: Path) -> dict[str, bytes]:
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    found.pop(STATE_NAME, None)
    return found


WHOLE = {"meta.csv": b"filename\n", "audio/0.wav": bytes(range(256)) * 20, "audio/1.wav": b"one" * 2000}


def test_archives_are_loaded_checked_and_unpacked_without_their_top_folder(made, tmp_path):
    """The folder holds meta.csv and audio/ afterwards, no archive; progress ends at the sum of bytes."""
    reports = []
    assert download(made, tmp_path / "x", on_progress=lambda done, total: reports.append((done, total))) == 3
    assert tree(tmp_path / "x") == WHOLE
    total = sum(archive.n_bytes or 0 for archive in made.archives)
    assert reports[-1] == (total, total)
    assert [done for done, _ in reports] == sorted(done for done, _ in reports)


def test_a_broken_connection_is_taken_up_within_the_archive(server, made, tmp_path, monkeypatch):
    """The server breaks off twice: the next request asks for the rest only, and the result is whole."""
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    server.n_breaks, server.n_broken = 2, 100
    download(made, tmp_path / "x")
    assert tree(tmp_path / "x") == WHOLE
    assert [start for name, start in server.requests if ".meta." in name] == [0, 100]


def test_a_stopped_download_goes_on_where_it_stopped(server, made, tmp_path, monkeypatch):
    """Failing for good, then given again: finished archives are not asked for, the running one from its middle."""
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    kept = server.files.pop(f"{TOP}.audio.2.zip")
    with pytest.raises(
        AscError, match=r"audio.2.zip\?download=1: cannot be downloaded: HTTP status 404 .* rerun the same"
    ):
        download(made, tmp_path / "x")
    server.files[f"{TOP}.audio.2.zip"] = kept
    server.n_breaks, server.n_broken = 3, 50
    with pytest.raises(AscError, match="the connection broke 3 times"):
        download(made, tmp_path / "x")
    server.requests.clear()
    download(made, tmp_path / "x")
    assert server.requests == [(f"{TOP}.audio.2.zip", 150)]
    assert tree(tmp_path / "x") == WHOLE
    assert download(made, tmp_path / "x") == 3  # nothing left to do


def test_a_damaged_archive_is_removed_and_told(server, made, tmp_path):
    """Another content than the checksum's: refused, and the next call loads it anew."""
    good = server.files[f"{TOP}.audio.1.zip"]
    server.files[f"{TOP}.audio.1.zip"] = good[:-1] + b"x"
    with pytest.raises(AscError, match=r"audio\.1\.zip\?download=1: is damaged: MD5 .* expected .* was deleted"):
        download(made, tmp_path / "x")
    assert sorted(tree(tmp_path / "x")) == ["meta.csv"]
    server.files[f"{TOP}.audio.1.zip"] = good
    download(made, tmp_path / "x")
    assert tree(tmp_path / "x") == WHOLE


def test_folders_with_other_contents_are_left_alone(made, tmp_path):
    """A folder with files, a file, or another set begun: refused, untouched."""
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(AscError, match="is not empty, and contains no unfinished download"):
        download(made, tmp_path)
    with pytest.raises(AscError, match=r"mine\.txt"):
        download(made, tmp_path / "mine.txt")
    assert tree(tmp_path) == {"mine.txt": b"mine"}
    download(made, tmp_path / "x")
    with pytest.raises(AscError, match="contains the download of another data set"):
        download(DataSet("other", "", made.archives), tmp_path / "x")


def test_no_room_is_told_before_anything_is_loaded(server, made, tmp_path):
    """A set larger than the disk: need and free space are told, nothing is asked of the server."""
    huge = DataSet("huge", "", (Archive(server.url("x.zip"), "0" * 32, 10**16),))
    with pytest.raises(AscError, match=r"huge takes about 22000000.0 GB, .* GB are free"):
        download(huge, tmp_path / "x")
    assert server.requests == []


def test_members_that_lead_out_of_the_folder_are_refused(server, tmp_path):
    """An archive with ../ in a name is not unpacked over other files."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as packed:
        packed.writestr("../evil.txt", b"x")
    server.files["bad.zip"] = data.getvalue()
    bad = DataSet("bad", "", (Archive(server.url("bad.zip"), hashlib.md5(data.getvalue()).hexdigest()),))
    with pytest.raises(DataError, match="has a path outside the folder"):
        download(bad, tmp_path / "x")
    assert not (tmp_path / "evil.txt").exists()


def test_an_unreachable_server_is_told_with_the_way_out(tmp_path):
    """Nobody listens: the address, the reason, and that the same command goes on."""
    nobody = DataSet("nobody", "", (Archive("http://127.0.0.1:9/x.zip", "0" * 32, 10),))
    with pytest.raises(AscError, match=r"127\.0\.0\.1:9/x\.zip: cannot be downloaded: .*refused.* rerun the same"):
        download(nobody, tmp_path / "x")


@pytest.mark.parametrize("name", [name for name, known in KNOWN.items() if not known.module])
def test_own_parts_add_up_to_the_stated_size(name):
    """Every set that soundata lacks has its archives with address, MD5 and bytes; lists come first, sizes add up."""
    found = load_set(name)
    assert sum(archive.n_bytes or 0 for archive in found.archives) == KNOWN[name].n_bytes
    assert all(
        archive.url.startswith("https://zenodo.org/record/") and len(archive.md5) == 32 for archive in found.archives
    )
    kinds = [".audio." in archive.filename for archive in found.archives]
    assert kinds == sorted(kinds)
    assert needed_bytes(found) > 1.2 * KNOWN[name].n_bytes
    assert "non-commercial" in found.licence


@pytest.mark.parametrize("name", [name for name, known in KNOWN.items() if known.module])
def test_soundata_knows_the_other_sets(name):
    """soundata's own remotes give the archives of the sets it knows, of the asked-for part only, in order."""
    pytest.importorskip("soundata")
    found = load_set(name)
    assert len({archive.filename for archive in found.archives}) == len(found.archives) >= 10
    wanted = "evaluation" if name.endswith("evaluation") else "development"
    assert {wanted in archive.filename for archive in found.archives} == {True}
    audio = [int(archive.filename.split(".")[-2]) for archive in found.archives if ".audio." in archive.filename]
    assert audio == list(range(1, len(audio) + 1))
    assert "commercial use is strictly prohibited" in found.licence


def test_tau2020_mobile_has_the_checksum_that_zenodo_lists():
    """Golden: the first audio archive of zenodo 3819968, whose MD5 dcase_util 0.2.20 gives as well."""
    pytest.importorskip("soundata")
    archives = {archive.filename: archive for archive in load_set("tau2020-mobile").archives}
    first = archives["TAU-urban-acoustic-scenes-2020-mobile-development.audio.1.zip"]
    assert first.url.startswith("https://zenodo.org/record/3819968/files/")
    assert first.md5 == "b1e85b8a908d3d6a6ab73268f385d5c8"


@pytest.mark.system
def test_without_soundata_the_extra_is_named():
    """Where soundata can't be imported the message says what to install; unknown sets name the known ones."""
    with pytest.raises(AscError, match=r"tau1999: unknown data set\. Known: tau2019, "):
        load_set("tau1999")
    script = (
        "import sys; sys.modules['soundata'] = None\n"
        "from data_prep.download.sets import load_set\n"
        "try: load_set('tau2020-mobile')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("AscError tau2020-mobile: ")
    assert "pip install 'asc-search[download]'" in done.stdout


def test_an_archive_of_damaged_data_is_said_in_words(server, tmp_path):
    """An archive whose compressed data are damaged is refused with its name, not with a traceback."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("meta.csv", bytes(range(256)) * 40)
    damaged = bytearray(data.getvalue())
    damaged[40:60] = b"\xff" * 20
    server.files["bad.zip"] = bytes(damaged)
    bad = DataSet("bad", "", (Archive(server.url("bad.zip"), hashlib.md5(damaged).hexdigest()),))
    with pytest.raises(DataError, match=r"bad\.zip.*: cannot be unpacked: .*Delete it and rerun"):
        download(bad, tmp_path / "x")
