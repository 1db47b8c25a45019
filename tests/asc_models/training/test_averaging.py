"""Averaged weights: what is averaged, batch norm's statistics for it, and its place among the checkpoints."""

import keras
import numpy as np
import pytest
from asc_models_support import SMALL_MODEL, feature_set

from asc_models.config import TrainConfig
from asc_models.training import trainer as trainer_module
from asc_models.training.averaging import estimate_statistics
from asc_models.training.fit import best_epoch, fit
from asc_models.training.trainer import Trainer

pytestmark = pytest.mark.system

CONFIG = TrainConfig(epochs=6, batch_size=8, learning_rate=0.05, swa_share=0.5)


@pytest.fixture(autouse=True)
def few_batches(monkeypatch):
    """Statistics from a few batches."""
    monkeypatch.setattr(trainer_module, "N_STATISTICS_BATCHES", 5)


def same(one, other) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def trainable(model, values):
    """Of the values of every variable, those of the trainable ones."""
    paths = {variable.path for variable in model.trainable_variables}
    return [value for variable, value in zip(model.variables, values, strict=True) if variable.path in paths]


def norms_of(model):
    return [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]


def test_the_average_is_the_mean_of_the_tails_ends():
    """Of 6 epochs with a share of a half: the mean of the weights behind epochs 4, 5 and 6; the model keeps its own."""
    trainer, ends = Trainer(SMALL_MODEL, CONFIG, feature_set(), seed=1), []
    for epoch in range(1, 7):
        trainer.train_to(epoch)
        ends.append(trainable(trainer.model, trainer.weights()))
        assert trainer.n_averaged == max(0, epoch - 3)
    before = trainer.weights()
    averaged = trainer.averaged_weights()
    assert same(before, trainer.weights())
    for ours, *last in zip(trainable(trainer.model, averaged), *ends[3:], strict=True):
        np.testing.assert_allclose(ours, np.mean(last, axis=0, dtype=np.float64), rtol=1e-6, atol=1e-8)


def test_a_training_with_an_average_is_the_training_without():
    """Averaging looks on: weights and losses are those of a training without it."""
    plain = Trainer(SMALL_MODEL, CONFIG.updated(swa_share=0.0), feature_set(), seed=1)
    averaging = Trainer(SMALL_MODEL, CONFIG, feature_set(), seed=1)
    losses, same_losses = [], []
    plain.train_to(6, losses.append)
    averaging.train_to(6, same_losses.append)
    assert losses == same_losses
    assert same(plain.weights(), averaging.weights())


def test_statistics_are_those_of_a_plain_pass():
    """Every batch norm's mean and variance are the means over batches of its input's own, in training mode."""
    trainer = Trainer(SMALL_MODEL, CONFIG, feature_set(), seed=1)
    trainer.train_to(2)
    model = trainer.model
    batches = [x for x, _ in trainer._batches.epoch(9)]
    inputs_of = keras.Model(model.inputs, [norm.input for norm in norms_of(model)])
    passes = [[np.asarray(x, np.float64) for x in inputs_of([batch], training=True)] for batch in batches]
    weights = trainable(model, trainer.weights())
    estimate_statistics(model, batches)
    assert same(weights, trainable(model, trainer.weights()))
    assert len(norms_of(model)) > 3
    for norm, *seen in zip(norms_of(model), *passes, strict=True):
        mean = np.mean([x.mean(axis=(0, 1, 2)) for x in seen], axis=0)
        variance = np.mean([x.reshape(-1, x.shape[-1]).var(axis=0, ddof=1) for x in seen], axis=0)
        np.testing.assert_allclose(norm.moving_mean, mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(norm.moving_variance, variance, rtol=1e-3, atol=1e-5)


def test_statistics_come_from_batches_that_nothing_is_trained_on():
    """The averaged model's statistics are those of the first batches of the epochs behind the last."""
    trainer = Trainer(SMALL_MODEL, CONFIG, feature_set(), seed=1)
    trainer.train_to(6)
    trainer.set_weights(trainer.averaged_weights())
    drawn = [norm.moving_mean.numpy() for norm in norms_of(trainer.model)]
    unseen = [x for epoch in (6, 7) for x, _ in trainer._batches.epoch(epoch)][:5]
    estimate_statistics(trainer.model, unseen)
    assert same(drawn, [norm.moving_mean.numpy() for norm in norms_of(trainer.model)])


def test_a_network_without_batch_norm_is_only_averaged():
    """There are no statistics to estimate: no batch is drawn."""
    trainer = Trainer(SMALL_MODEL.updated(normalization="none", attention="none"), CONFIG, feature_set(8), seed=0)
    before = trainer.weights()
    estimate_statistics(trainer.model, (pytest.fail("a batch was drawn") for _ in range(1)))
    assert same(before, trainer.weights())


def test_fit_compares_the_average_as_one_more_checkpoint(tmp_path):
    """With validation the best of all epochs and the average stays; a killed fit gives the same."""
    train, validation = feature_set(24), feature_set(12, seed=9)
    whole = Trainer(SMALL_MODEL, CONFIG, train, seed=0)
    result = fit(whole, validation, epochs=6, checkpoint=tmp_path / "a.npz", metric="log_loss")
    assert [record.epoch for record in result.history] == [1, 2, 3, 4, 5, 6, 6]
    assert [record.is_average for record in result.history] == [False] * 6 + [True]
    assert result.best == best_epoch(list(result.history), "log_loss")
    fit(Trainer(SMALL_MODEL, CONFIG, train, seed=0), validation, epochs=5, checkpoint=tmp_path / "b.npz")
    second = Trainer(SMALL_MODEL, CONFIG, train, seed=0)
    resumed = fit(second, validation, epochs=6, checkpoint=tmp_path / "b.npz", metric="log_loss")
    assert resumed.history == result.history
    assert same(whole.weights(), second.weights())


class Averaging(Trainer):
    """A trainer whose average is given."""

    given: list

    def averaged_weights(self):
        """Return it."""
        return self.given


def test_the_average_may_win_and_lose(tmp_path):
    """An average that scores better than every epoch stays, one that scores worse gives way to the best epoch."""
    train, validation = feature_set(24), feature_set(12, seed=9)
    better = Trainer(SMALL_MODEL, CONFIG.updated(epochs=14, swa_share=0.0), validation, seed=0)
    better.train_to(14)
    worse = [value * 0 for value in better.weights()]
    for name, given, wins in (("better", better.weights(), True), ("worse", worse, False)):
        trainer = Averaging(SMALL_MODEL, CONFIG, train, seed=0)
        trainer.given = given
        result = fit(trainer, validation, epochs=6, checkpoint=tmp_path / f"{name}.npz", metric="log_loss")
        assert (result.best.is_average, same(trainer.weights(), given)) == (wins, wins)


def test_without_validation_the_average_is_what_stays(tmp_path):
    """Trained on all clips, the model ends with the average, its scores no numbers; resumed, with the same."""
    train = feature_set(24)
    whole = Trainer(SMALL_MODEL, CONFIG, train, seed=0)
    result = fit(whole, None, epochs=6, checkpoint=tmp_path / "a.npz")
    assert result.best.is_average
    assert np.isnan(result.best.log_loss)
    straight = Trainer(SMALL_MODEL, CONFIG, train, seed=0)
    straight.train_to(6)
    assert same(whole.weights(), straight.averaged_weights())
    fit(Trainer(SMALL_MODEL, CONFIG, train, seed=0), None, epochs=4, checkpoint=tmp_path / "b.npz")
    second = Trainer(SMALL_MODEL, CONFIG, train, seed=0)
    fit(second, None, epochs=6, checkpoint=tmp_path / "b.npz")
    assert same(whole.weights(), second.weights())
