import keras
import numpy as np
import pytest
import tensorflow as tf
from asc_models_support import SMALL_MODEL, feature_set

from asc_models.builder import build
from asc_models.config import TrainConfig
from asc_models.errors import TrainingError
from asc_models.fitting import EpochRecord, best_epoch, fit
from asc_models.layers import FusedBatchNormalization
from asc_models.training import Trainer

CONFIG = TrainConfig(epochs=6, batch_size=8, learning_rate=0.05)


def same(one, other) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_training_learns():
    """Fourteen epochs on loud bands tell them apart."""
    data = feature_set(48)
    trainer = Trainer(SMALL_MODEL, CONFIG.updated(epochs=14), data, seed=0)
    stats = []
    trainer.train_to(14, stats.append)
    assert stats[-1].loss < stats[0].loss
    assert (trainer.predict(data).argmax(axis=1) == data.labels).mean() > 0.9


def test_the_same_seed_gives_the_same_weights():
    """Two trainings with one seed are equal bit for bit; another seed gives others."""
    trainers = [Trainer(SMALL_MODEL, CONFIG, feature_set(), seed=seed) for seed in (1, 1, 2)]
    for trainer in trainers:
        trainer.train_to(2)
    assert same(trainers[0].weights(), trainers[1].weights())
    assert not same(trainers[0].weights(), trainers[2].weights())


def test_a_resumed_training_equals_an_undisturbed_one(tmp_path):
    """Stopped at epoch 3 and taken up by a new trainer, with dropout and every augmentation: the same weights at 6."""
    model = SMALL_MODEL.updated(dropout=0.3)
    config = CONFIG.updated(
        time_roll=True,
        frequency_shift=2,
        time_stretch=1.3,
        frequency_mask=4,
        time_mask=4,
        freq_mixstyle_p=0.5,
        weight_decay=1e-3,
    )
    whole, first, second = (Trainer(model, config, feature_set(), seed=5) for _ in range(3))
    whole.train_to(6)
    first.train_to(3)
    first.save(tmp_path / "state.npz")
    second.load(tmp_path / "state.npz")
    second.train_to(6)
    assert same(whole.weights(), second.weights())


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    """A checkpoint belongs to one network, recipe and seed; a damaged file is named."""
    trainer = Trainer(SMALL_MODEL, CONFIG, feature_set(), seed=0)
    trainer.save(tmp_path / "state.npz")
    Trainer(SMALL_MODEL, CONFIG.updated(epochs=99), feature_set(), seed=0).load(tmp_path / "state.npz")
    with pytest.raises(TrainingError, match="another network, recipe or seed"):
        Trainer(SMALL_MODEL, CONFIG, feature_set(), seed=1).load(tmp_path / "state.npz")
    (tmp_path / "state.npz").write_bytes((tmp_path / "state.npz").read_bytes()[:1000])
    with pytest.raises(TrainingError, match="no usable checkpoint"):
        trainer.load(tmp_path / "state.npz")


def test_divergence_is_an_error_with_its_place():
    """A loss that is no number ends the training with epoch, step and rate."""
    trainer = Trainer(SMALL_MODEL, CONFIG.updated(learning_rate=1e30), feature_set(), seed=0)
    with pytest.raises(TrainingError, match=r"diverged in epoch 1, step \d.*learning rate \S+e\+\d\d"):
        trainer.train_to(2)


def test_a_step_is_that_of_keras_sgd():
    """One step moves every weight as Keras' own SGD with momentum does on the same batch."""
    config = TrainConfig(batch_size=8, learning_rate=0.05, mixup_alpha=0.0, crop_fraction=1.0)
    data = feature_set(8)
    trainer = Trainer(SMALL_MODEL, config, data, seed=3)
    reference = keras.models.clone_model(trainer.model)
    reference.set_weights(trainer.model.get_weights())
    reference.compile(keras.optimizers.SGD(0.05, momentum=0.9), keras.losses.CategoricalCrossentropy())
    x, y = next(iter(trainer._batches.epoch(0)))
    reference.train_on_batch(x, y)
    trainer.train_to(1)
    for ours, theirs in zip(trainer.model.get_weights(), reference.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_gradients_agree_with_float64():
    """One step's gradients are within 1e-4 (relative, by tensor) of the same network in float64."""
    model = build(SMALL_MODEL, (16, 20, 1), 3)
    x = np.random.default_rng(0).uniform(0, 1, (8, 16, 20, 1))
    y = np.eye(3)[np.arange(8) % 3]
    exact = keras.models.clone_model(model, clone_function=in_float64)
    exact.set_weights(model.get_weights())
    ours, theirs = gradients(model, x.astype(np.float32), y.astype(np.float32)), gradients(exact, x, y)
    for one, other in zip(ours, theirs, strict=True):
        assert np.linalg.norm(one - other) <= 1e-4 * np.linalg.norm(other) + 1e-7


def in_float64(layer):
    """The same layer in float64; the fused kernel has no float64, the stock layer takes its place."""
    kind = keras.layers.BatchNormalization if isinstance(layer, FusedBatchNormalization) else type(layer)
    return kind.from_config({**layer.get_config(), "dtype": "float64"})


def gradients(model, x, y):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(keras.losses.categorical_crossentropy(y, model(x, training=True)))
    return [gradient.numpy() for gradient in tape.gradient(loss, [v.value for v in model.trainable_variables])]


def test_fused_batch_norm_is_batch_norm():
    """In training and inference the fused layer gives what the stock layer gives, and moves its mean likewise."""
    x = np.random.default_rng(0).normal(2.0, 3.0, (8, 10, 12, 5)).astype(np.float32)
    stock, fused = keras.layers.BatchNormalization(), FusedBatchNormalization()
    for training in (True, True, False):
        np.testing.assert_allclose(fused(x, training=training), stock(x, training=training), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(fused.moving_mean, stock.moving_mean, rtol=1e-5)
    bessel = 960 / 959  # 8 × 10 × 12 values a channel
    moved = np.asarray(stock.moving_variance) - 0.99**2
    np.testing.assert_allclose(np.asarray(fused.moving_variance) - 0.99**2, moved * bessel, rtol=1e-3)


def test_fit_keeps_the_best_epoch_and_resumes(tmp_path):
    """The model ends with the best validation epoch's weights, and a killed fit goes on to the same end."""
    train, validation = feature_set(24), feature_set(12, seed=9)
    whole = Trainer(SMALL_MODEL, CONFIG, train, seed=0)
    result = fit(whole, validation, epochs=6, checkpoint=tmp_path / "a.npz")
    assert result.best == best_epoch(list(result.history), "macro_accuracy")
    assert [record.epoch for record in result.history] == [1, 2, 3, 4, 5, 6]
    fit(Trainer(SMALL_MODEL, CONFIG, train, seed=0), validation, epochs=3, checkpoint=tmp_path / "b.npz")
    second = Trainer(SMALL_MODEL, CONFIG, train, seed=0)
    resumed = fit(second, validation, epochs=6, checkpoint=tmp_path / "b.npz")
    assert resumed == result
    assert same(whole.weights(), second.weights())


def test_best_epoch_breaks_ties_by_the_other_score():
    """Equal accuracy: lower log loss wins; equal both: the earlier epoch."""
    records = [
        EpochRecord(epoch, 1.0, 0.1, accuracy, loss)
        for epoch, accuracy, loss in ((1, 0.5, 0.9), (2, 0.8, 0.7), (3, 0.8, 0.6), (4, 0.8, 0.6), (5, 0.7, 0.5))
    ]
    assert best_epoch(records, "macro_accuracy").epoch == 3
    assert best_epoch(records, "log_loss").epoch == 5
