"""Does the faster training learn the same? Stock `model.fit` and our trainer over several seeds, on real recordings.

    python tests/benchmarks/training_equality.py SHARDS [--fold 1] [--epochs 6] [--seeds 5]

Both train the same small network on the same augmented batches with the same learning rates: `fit` with Keras' own
batch norm and SGD, ours with the fused batch norm and the lean step. Printed is the validation log loss of every
training, mean and standard deviation over the seeds, and the mean difference of the pairs with its standard error. The
same seed starts both from the same weights, but at these learning rates training is chaotic: what can be equal is the
distribution, not the single run.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from asc_models.config import TrainConfig
from asc_models.metrics import log_loss
from asc_models.networks.presets import preset
from asc_models.process import start_tensorflow
from asc_models.training.batches import TrainingBatches
from asc_models.training.builder import build
from asc_models.training.layers import FusedBatchNormalization
from asc_models.training.schedule import learning_rate
from asc_models.training.trainer import Trainer
from data_prep.config import ReaderSpec
from data_prep.reader.reader import FeatureSet, read_split


def train_ours(name: str, config: TrainConfig, train: FeatureSet, validation: FeatureSet, seed: int) -> float:
    """Return the validation log loss after training with our trainer."""
    trainer = Trainer(preset(name), config, train, seed=seed)
    trainer.train_to(config.epochs)
    return log_loss(validation.labels, trainer.predict(validation))


def train_stock(name: str, config: TrainConfig, train: FeatureSet, validation: FeatureSet, seed: int) -> float:
    """Return the validation log loss after training with `model.fit` on Keras' own layers."""
    import keras

    keras.utils.set_random_seed(seed)
    ours = build(preset(name), train.input_shape, len(train.classes))

    def plain(layer: Any) -> Any:
        """Return the layer, or Keras' own batch norm in its place."""
        if isinstance(layer, FusedBatchNormalization):
            return keras.layers.BatchNormalization(momentum=layer.momentum, name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    model = keras.models.clone_model(ours, clone_function=plain)
    model.set_weights(ours.get_weights())
    optimizer = keras.optimizers.SGD(config.learning_rate, momentum=config.momentum)
    model.compile(optimizer=optimizer, loss="categorical_crossentropy")
    batches = TrainingBatches(train, config, seed)
    steps = batches.steps_per_epoch

    for epoch in range(config.epochs):
        rate = keras.callbacks.LambdaCallback(
            on_train_batch_begin=lambda step, logs, epoch=epoch: setattr(
                optimizer, "learning_rate", learning_rate(config, epoch + step / steps)
            )
        )
        x, y = (np.concatenate(values) for values in zip(*batches.epoch(epoch), strict=True))
        model.fit(x, y, batch_size=config.batch_size, shuffle=False, verbose=0, callbacks=[rate])
    probabilities = model.predict(validation.inputs(slice(None)), batch_size=32, verbose=0)
    return log_loss(validation.labels, probabilities)


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=Path)
    parser.add_argument("--fold", type=int, default=1)
    parser.add_argument("--preset", default="cao2021-system3")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    start_tensorflow(2)
    reader = ReaderSpec()
    train, validation = (
        read_split(options.shards, s, fold=options.fold, reader=reader) for s in ("train", "validation")
    )
    config = TrainConfig(epochs=options.epochs, learning_rate=0.05)
    print(f"{'seed':>4} {'stock fit':>10} {'ours':>10}   validation log loss after {options.epochs} epochs")
    rows = []
    for seed in range(options.seeds):
        rows.append([run(options.preset, config, train, validation, seed) for run in (train_stock, train_ours)])
        print(f"{seed:>4} {rows[-1][0]:>10.4f} {rows[-1][1]:>10.4f}", flush=True)
    losses = np.array(rows)
    means, spreads = losses.mean(axis=0), losses.std(axis=0, ddof=1)
    print(f"mean {means[0]:>10.4f} {means[1]:>10.4f}")
    print(f"s.d. {spreads[0]:>10.4f} {spreads[1]:>10.4f}")
    difference = losses[:, 1] - losses[:, 0]
    error = difference.std(ddof=1) / np.sqrt(len(difference))
    verdict = "within" if abs(difference.mean()) <= spreads.max() else "beyond"
    print(f"ours − stock: {difference.mean():+.4f} ± {error:.4f} (s.e.), {verdict} the spread over seeds")


if __name__ == "__main__":
    main()
