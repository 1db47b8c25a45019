import tempfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from asc_models_support import SMALL_MODEL, feature_set, windowed_set

from asc_models.config import TrainConfig
from asc_models.errors import TrainingError
from asc_models.networks.families import BaselineConfig
from asc_models.tflite.export import convert
from asc_models.training.builder import build
from asc_models.training.fit import EpochRecord, best_epoch, fit
from asc_models.training.layers import FusedBatchNormalization
from asc_models.training.trainer import Trainer
from asc_models.training.voting import answering

pytestmark = pytest.mark.system

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


def test_a_training_and_its_export_leave_no_temporary_file(tmp_path, monkeypatch):
    """TensorFlow's autograph writes a module per traced function, which stays where a process is ended by force."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    config, data = CONFIG.updated(optimizer="adamw", swa_share=0.5, mixup_alpha=0.0), windowed_set(16)
    trainer = Trainer(SMALL_MODEL, config, data, seed=0)
    trainer.train_to(6)
    trainer.predict(data)
    convert(answering(trainer.model, data.windows), data.input_shape)
    assert not list(tmp_path.iterdir())


SWITCHES = {
    "none": {},
    "mixing": {"freq_mixstyle_p": 0.5, "frequency_mask": 4, "time_mask": 4, "label_smoothing": 0.1},
    "moving": {"time_roll": True, "frequency_shift": 2, "time_stretch": 1.3},
    "weight decay": {"weight_decay": 1e-3},
    "clipping": {"gradient_clip": 0.1},
    "average": {"ema_decay": 0.9},
    "class balance": {"balance": "class"},
    "device balance": {"balance": "device"},
    "one-cycle": {"schedule": "one-cycle"},
    "cosine": {"schedule": "cosine", "epochs": 4},
    "nesterov": {"optimizer": "nesterov"},
    "adamw": {"optimizer": "adamw", "learning_rate": 1e-3, "weight_decay": 0.1},
    "step": {"schedule": "step", "warm_up_epochs": 2},
    "plateau": {"schedule": "plateau-cosine"},
    "examples": {"epoch_examples": 40},
    "swa": {"swa_share": 0.5, "ema_decay": 0.0},
    "bfloat16": {"precision": "mixed_bfloat16"},
}
SWITCHES["all"] = {key: value for switch in SWITCHES.values() for key, value in switch.items()}


def assert_exact_resume(switches, stops, folder):
    """Train to epoch 4 in one go, and again from the checkpoints at `stops`: equal weights, losses and predictions."""
    model, data = SMALL_MODEL.updated(dropout=0.3), feature_set(20, n_devices=2)
    config = TrainConfig(**{"epochs": 4, "batch_size": 8, "learning_rate": 0.05, **switches})
    whole, stats = Trainer(model, config, data, seed=5), []
    for epoch in (1, 2, 3):
        whole.train_to(epoch, stats.append)
        whole.save(folder / f"{epoch}.npz")
    whole.train_to(4, stats.append)
    for stop in stops:
        again, resumed = Trainer(model, config, data, seed=5), []
        again.load(folder / f"{stop}.npz")
        again.train_to(4, resumed.append)
        assert resumed == stats[stop:]
        assert same(whole.weights(), again.weights())
        np.testing.assert_array_equal(whole.predict(data), again.predict(data))
        if config.swa_share:
            assert same(whole.averaged_weights(), again.averaged_weights())


def test_a_resumed_training_equals_an_undisturbed_one(tmp_path):
    """With every switch on: stopped at any epoch and taken up by a new trainer, weights and losses are equal."""
    assert_exact_resume(SWITCHES["all"], (1, 2, 3), tmp_path)


def test_the_other_optimizer_and_average_resume_exactly(tmp_path):
    """Nesterov's momentum with a moving average, which AdamW with SWA leaves out, resumes exactly, too."""
    assert_exact_resume({**SWITCHES["nesterov"], **SWITCHES["average"]}, (2,), tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("switch", SWITCHES.values(), ids=SWITCHES)
def test_training_with_each_switch_resumes_exactly(switch, tmp_path):
    """With each switch alone, and with none, the same."""
    assert_exact_resume(switch, (1, 2, 3), tmp_path)


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


def test_a_loss_without_bound_is_divergence():
    """A training whose loss runs away but stays a number ends likewise, with the loss and the rate."""
    model = SMALL_MODEL.updated(normalization="none", attention="none")
    trainer = Trainer(model, CONFIG.updated(learning_rate=3.0, momentum=0.0), feature_set(), seed=0)
    with pytest.raises(TrainingError, match=r"diverged in epoch \d+.*lower train.learning_rate"):
        trainer.train_to(6)


def test_weights_that_are_no_numbers_are_divergence():
    """A weight spoilt by the last step is told at the epoch's end, even where the loss is still a number."""
    trainer = Trainer(SMALL_MODEL, CONFIG, feature_set(8), seed=0)
    kernel = trainer.model.get_layer("block1_project").kernel
    kernel.assign(np.full(kernel.shape, np.nan))
    with pytest.raises(TrainingError, match="diverged in epoch 1"):
        trainer.train_to(1)


def test_the_average_is_the_average():
    """With ema_decay the model holds Σ of the trained weights, weighted as the rule says; without, the weights."""
    config = CONFIG.updated(ema_decay=0.5)
    plain, averaged = (Trainer(SMALL_MODEL, c, feature_set(8), seed=2) for c in (CONFIG, config))
    expected = [weight.astype(np.float64) for weight in plain.model.get_weights()]
    for step in range(4):  # one step an epoch
        plain.train_to(step + 1)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = [decay * a + (1 - decay) * w for a, w in zip(expected, plain.model.get_weights(), strict=True)]
    averaged.train_to(4)
    for ours, theirs in zip(averaged.model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_clipping_bounds_a_steps_length():
    """With gradient_clip g the first step is no longer than rate × g; a large g changes nothing."""
    config = CONFIG.updated(learning_rate=0.05, schedule="cosine")
    steps = {}
    for clip in (0.0, 0.01, 1e6):
        trainer = Trainer(SMALL_MODEL, config.updated(gradient_clip=clip), feature_set(8), seed=2)
        before = [variable.numpy() for variable in trainer.model.trainable_variables]
        trainer.train_to(1)
        after = [variable.numpy() for variable in trainer.model.trainable_variables]
        steps[clip] = [b - a for a, b in zip(before, after, strict=True)]
    length = np.sqrt(sum((step**2).sum() for step in steps[0.01]))
    assert length == pytest.approx(0.05 * 0.01, rel=1e-3)
    for one, other in zip(steps[0.0], steps[1e6], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-8)


def test_a_network_of_one_length_trains_on_whole_clips():
    """The baseline takes no crops: it trains under the default recipe, which crops, on every frame."""
    network = BaselineConfig(filters=(4, 4, 4), pools=((2, 2), (2, 2)))
    trainer = Trainer(network, CONFIG, feature_set(8), seed=0)
    trainer.train_to(1)
    assert trainer.config.crop_fraction == 1.0
    assert trainer.model.input_shape == (None, 16, 20, 1)


def keras_optimizer(name: str, decay: float) -> keras.optimizers.Optimizer:
    """Keras' own: of AdamW only kernels decay, those of SGD are penalized in the loss."""
    if name != "adamw":
        return keras.optimizers.SGD(0.05, momentum=0.9, nesterov=name == "nesterov")
    optimizer = keras.optimizers.AdamW(0.05, weight_decay=decay, beta_1=0.9, beta_2=0.999, epsilon=1e-7)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


@pytest.mark.parametrize(("name", "decay"), [("sgd", 0.0), ("nesterov", 0.0), ("adamw", 0.0), ("adamw", 0.3)])
def test_steps_are_those_of_keras_optimizers(name, decay):
    """Three steps move every weight as Keras' own optimizer does on the same batches."""
    config = TrainConfig(
        batch_size=8, learning_rate=0.05, min_learning_rate=0.05, mixup_alpha=0.0, crop_fraction=1.0, optimizer=name,
        weight_decay=decay,
    )  # fmt: skip
    trainer = Trainer(SMALL_MODEL, config, feature_set(8), seed=3)
    reference = build(SMALL_MODEL, (16, 20, 1), 3)
    reference.set_weights(trainer.model.get_weights())
    # Eagerly: for three steps, compiling them takes far longer than taking them.
    reference.compile(keras_optimizer(name, decay), keras.losses.CategoricalCrossentropy(), run_eagerly=True)
    for epoch in range(3):
        x, y = next(iter(trainer._batches.epoch(epoch)))
        reference.train_on_batch(x, y)
        trainer.train_to(epoch + 1)
        # Adam divides a gradient by itself: where it is next to nothing, its last digits decide a step's sign.
        tolerance = 1e-6 if name != "adamw" else 2e-3
        for ours, theirs in zip(trainer.model.get_weights(), reference.get_weights(), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=tolerance)


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


@pytest.mark.parametrize("config", [CONFIG, CONFIG.updated(ema_decay=0.9)], ids=["plain", "average"])
def test_fit_keeps_the_best_epoch_and_resumes(config, tmp_path):
    """The model ends with the best validation epoch's weights, and a killed fit goes on to the same end."""
    train, validation = feature_set(24), feature_set(12, seed=9)
    whole = Trainer(SMALL_MODEL, config, train, seed=0)
    result = fit(whole, validation, epochs=6, checkpoint=tmp_path / "a.npz")
    assert result.best == best_epoch(list(result.history), "macro_accuracy")
    assert [record.epoch for record in result.history] == [1, 2, 3, 4, 5, 6]
    fit(Trainer(SMALL_MODEL, config, train, seed=0), validation, epochs=3, checkpoint=tmp_path / "b.npz")
    second = Trainer(SMALL_MODEL, config, train, seed=0)
    resumed = fit(second, validation, epochs=6, checkpoint=tmp_path / "b.npz")
    assert resumed == result
    assert same(whole.weights(), second.weights())


def test_fit_without_validation_keeps_the_last_weights(tmp_path):
    """Nothing chooses a checkpoint: the last epoch stays, its scores are no numbers, and a killed fit goes on."""
    train, begun = feature_set(24), []
    whole = Trainer(SMALL_MODEL, CONFIG, train, seed=0)
    result = fit(whole, None, epochs=3, checkpoint=tmp_path / "a.npz")
    assert result.best.epoch == 3
    assert np.isnan([score for record in result.history for score in (record.macro_accuracy, record.log_loss)]).all()
    straight = Trainer(SMALL_MODEL, CONFIG, train, seed=0)
    straight.train_to(3)
    assert same(whole.weights(), straight.weights())
    fit(Trainer(SMALL_MODEL, CONFIG, train, seed=0), None, epochs=2, checkpoint=tmp_path / "b.npz")
    second = Trainer(SMALL_MODEL, CONFIG, train, seed=0)
    fit(second, None, epochs=3, checkpoint=tmp_path / "b.npz", on_start=begun.append)
    assert begun == [2]
    assert same(whole.weights(), second.weights())


def test_best_epoch_breaks_ties_by_the_other_score():
    """Equal accuracy: lower log loss wins; equal both: the earlier epoch."""
    records = [
        EpochRecord(epoch, 1.0, 0.1, accuracy, loss)
        for epoch, accuracy, loss in ((1, 0.5, 0.9), (2, 0.8, 0.7), (3, 0.8, 0.6), (4, 0.8, 0.6), (5, 0.7, 0.5))
    ]
    assert best_epoch(records, "macro_accuracy").epoch == 3
    assert best_epoch(records, "log_loss").epoch == 5
