"""A run in shared storage: nothing that was told as written is lost with the machine, and no two drivers mix."""

import shutil

import pytest

from data_prep.errors import RunError
from data_prep.store.store import open_store
from results.ledger.ledger import Ledger
from results.rundir import RunDirectory
from results.storage.storage import RunStorage, open_ledger, taken
from results.storage.stored_ledger import StoredLedger


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.system)])
def location(request, tmp_path):
    """A folder, as on NFS, and a place in an object store."""
    if request.param == "folder":
        return tmp_path / "shared"
    request.getfixturevalue("s3")
    return f"s3://sets/{tmp_path.name}"


@pytest.fixture
def run(tmp_path):
    directory = RunDirectory(tmp_path / "run")
    directory.root.mkdir()
    directory.config_path.write_text("fold: 1\n")
    return directory


def kinds(path):
    return [event["event"] for event in Ledger(path).events()]


def test_a_lost_run_directory_is_made_anew(run, location):
    """With the run directory gone, configuration and every event come back from the storage, and the run goes on."""
    with taken(run, location) as storage, open_ledger(run, storage) as ledger:
        for number in range(3):
            ledger.append("note", number=number)
    shutil.rmtree(run.root)
    with taken(run, location) as storage:
        assert run.config_path.read_text() == "fold: 1\n"
        with open_ledger(run, storage) as ledger:
            assert [event["number"] for event in ledger.events()] == [0, 1, 2]
            ledger.append("note", number=3)
    assert RunStorage(location).ledger_store.names() == [f"0000000{n}.jsonl" for n in (1, 2, 3, 4)]


def test_an_event_is_in_the_storage_when_append_returns(run, location):
    """Without any closing, what append returned from is in the storage, light events with the next heavy one."""
    ledger = StoredLedger.open_stored(run.ledger_path, RunStorage(location).ledger_store)
    ledger.append("note", number=1)
    for number in range(5):
        ledger.append("infeasible", params={}, number=number)
    assert len(ledger.events()) == 6
    assert len(RunStorage(location).ledger_store.names()) == 1
    ledger.append("note", number=2)
    elsewhere = RunDirectory(run.root.parent / "elsewhere")
    with StoredLedger.open_stored(elsewhere.ledger_path, RunStorage(location).ledger_store):
        assert elsewhere.ledger_path.read_bytes() == run.ledger_path.read_bytes()
    assert len(RunStorage(location).ledger_store.names()) == 2
    ledger.close()


def test_of_two_drivers_that_think_themselves_alone_one_stops(run, location, tmp_path):
    """A driver that was thought dead and wakes up fails at its next event, and leaves no trace in the storage."""
    sleeper = StoredLedger.open_stored(run.ledger_path, RunStorage(location).ledger_store)
    sleeper.append("note", number=1)
    other = RunDirectory(tmp_path / "other")
    with StoredLedger.open_stored(other.ledger_path, RunStorage(location).ledger_store) as ledger:
        ledger.append("session", number=2)
    with pytest.raises(RunError, match="another asc process has written to this run"):
        sleeper.append("note", number=3)
    sleeper.close()
    with StoredLedger.open_stored(run.ledger_path, RunStorage(location).ledger_store) as ledger:
        assert [event["number"] for event in ledger.events()] == [1, 2]


def test_what_only_one_side_has_the_other_gets(run, location):
    """Events of a session without the storage, and light ones that a kill kept back, are brought there at opening."""
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        ledger.append("note", number=1)
        ledger.append("infeasible", params={}, number=2)
    with taken(run, location) as storage, open_ledger(run, storage):
        pass
    shutil.rmtree(run.root)
    with taken(run, location):
        assert kinds(run.ledger_path) == ["note", "infeasible"]
        assert run.config_path.exists()


def test_two_histories_are_not_mixed(run, location):
    """A run directory and a storage that both went on by themselves are refused, with the way out."""
    with taken(run, location) as storage, open_ledger(run, storage) as ledger:
        ledger.append("note", number=1)
    store = RunStorage(location).ledger_store
    store.create("00000002.jsonl", b'{"event": "rung", "number": 2}\n')
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        ledger.append("note", number=3)
    with pytest.raises(RunError, match=r"contradicts .*ledger"), taken(run, location):
        pass
    assert kinds(run.ledger_path) == ["note", "note"]


def test_a_segment_that_is_gone_is_told(run, location):
    """A hole in the ledger is never passed over."""
    with taken(run, location) as storage, open_ledger(run, storage) as ledger:
        for number in range(3):
            ledger.append("note", number=number)
    RunStorage(location).ledger_store.remove("00000002.jsonl")
    lacks = r"00000002\.jsonl: this segment of the ledger is missing"
    with pytest.raises(RunError, match=lacks), taken(run, location):
        pass


def test_without_storage_nothing_changes(run):
    """A run without shared storage has a plain ledger."""
    with taken(run, None) as storage, open_ledger(run, storage) as ledger:
        ledger.append("note", number=1)
        assert type(ledger) is Ledger
    assert sorted(path.name for path in run.root.iterdir()) == ["config.yaml", "ledger.jsonl", "ledger.lock"]


def test_a_run_with_storage_is_not_gone_on_with_without_it(run, location):
    """Begun with a storage, a run is refused without it, with its address; removing the note is the way out."""
    with taken(run, location) as storage, open_ledger(run, storage) as ledger:
        ledger.append("note", number=0)
    with pytest.raises(RunError, match=f"give --storage {location}.*delete storage.txt first"):
        open_ledger(run, None)
    run.storage_path.unlink()
    with open_ledger(run, None) as ledger:
        assert [event["number"] for event in ledger.events()] == [0]


def test_settings_that_were_changed_here_stay(run, location, tmp_path):
    """With equal ledgers the run directory's settings are kept and stored; a longer stored ledger brings its own."""
    with taken(run, location) as storage, open_ledger(run, storage) as ledger:
        ledger.append("note", number=0)
    run.config_path.write_text("fold: 2\n")
    with taken(run, location) as storage:
        assert run.config_path.read_text() == "fold: 2\n"
        with open_ledger(run, storage):
            pass
    other = RunDirectory(tmp_path / "other")
    other.root.mkdir()
    with taken(other, location) as storage:
        assert other.config_path.read_text() == "fold: 2\n"
        other.config_path.write_text("fold: 3\n")
        with open_ledger(other, storage) as ledger:
            ledger.append("note", number=1)
    with taken(run, location):
        assert run.config_path.read_text() == "fold: 3\n"


def test_the_lock_leaves_with_its_driver(run, location):
    """While a driver has the storage its lock is there, and afterwards nothing of it is."""
    with taken(run, location):
        assert open_store(location).names() == ["driver/00000001.json"]
    assert open_store(location).names() == []
