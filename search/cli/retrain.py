"""`asc retrain`: the best candidates at full length."""

from __future__ import annotations

from search.cli.options import AddressOption, RunArgument, ShardsOption, terminal


def retrain(run: RunArgument, shards: ShardsOption = None, address: AddressOption = None) -> None:
    """Train the run's best candidates at full length, export them, and score their files."""
    from data_prep.errors import RunError
    from data_prep.manifest import read_manifest
    from results.ledger import Ledger
    from results.rundir import RunDirectory
    from search.opening import bind_data, default_shards, read_run
    from search.pipeline import Place, retrain_stage

    screen = terminal()
    directory = RunDirectory(run)
    config = read_run(directory)
    place = Place(directory, default_shards(directory, shards), address)
    if shards is None and not directory.shards_dir.is_dir():
        raise RunError(f"{place.shards}: no shards there; where the run's shards lie elsewhere, give --shards SHARDS")
    bind_data(directory, read_manifest(place.shards))
    with Ledger.open_for_writing(directory.ledger_path) as ledger:
        retrain_stage(place, config, ledger, screen)
    screen.say(f"Candidates: {directory.candidates_dir}")
