"""A first run from Python, in about a minute: `python search/examples/first_run.py [FOLDER]`, or cell by cell.

The corpus is synthesized and everything is tiny, so the scores mean nothing. For your own data, skip `synthesize`, read
another configuration, and pass the folder of your data to `search.run`.
"""

# %% Settings: a shipped configuration, cut down to seconds
import sys
from pathlib import Path

import asc_models
import data_prep
import search

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results/runs/first-run")
config = search.read_config(
    "demo",
    {
        "synth.clip_seconds": 1.0,
        "synth.n_locations": 6,
        "synth.n_segments": 1,
        "prepare.features": {"sample_rate": 16_000, "clip_seconds": 1.0, "n_fft": 1024, "n_mels": 24},
        "prepare.validation.fraction": 0.4,
        "search.n_trials": 3,
        "search.epochs": 6,
        "search.min_epochs": 2,
        "train.batch_size": 8,
        "train.epochs": 14,
        "retrain.n_candidates": 1,
    },
)

# %% Audio to feature shards
assert config.synth is not None  # the demo synthesizes its corpus
n_clips = data_prep.synthesize(folder / "corpus", config.synth)
prepared = data_prep.prepare_shards(folder / "corpus", folder / "shards", config.prepare)
print(f"{n_clips} clips of {len(prepared.manifest.classes)} scenes")

# %% Survey the search space: every size is known before anything is trained
space = search.survey(config, folder / "shards")
print(f"{space.n_feasible_candidates} of {space.n_candidates} candidates are within the limit")

# %% Search, and print the Pareto front
found = search.search(config, folder / "shards", folder / "run")
print(found.front[["trial_id", "macro_accuracy", "weight_bytes"]].to_string(index=False))

# %% Retrain, ensemble, report: the run continues after the search
run = search.run(config, folder / "corpus", folder / "run", shards=folder / "shards")
best = run.candidates.iloc[0]
print(f"{best['candidate']}: {best['weight_bytes']} bytes, report in {run.report()}")

# %% Classify recordings with the exported file
classifier = asc_models.Classifier(run.path / "candidates" / best["candidate"])
recordings = sorted((folder / "corpus" / "audio").glob("*.wav"))[::30]
probabilities = classifier.predict(recordings)
for path, scene in probabilities.idxmax(axis="columns").items():
    print(f"{Path(str(path)).name}: {scene}")
