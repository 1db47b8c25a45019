"""Knowledge distillation: the loss, the view of the teachers, stored probabilities."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from asc_models_support import SMALL_MODEL, feature_set
from scipy.special import log_softmax, rel_entr, softmax

from asc_models.candidate import DistilledFrom
from asc_models.config import TrainConfig
from asc_models.errors import TrainingError
from asc_models.training.batches import TrainingBatches
from asc_models.training.builder import build
from asc_models.training.distillation import Teacher, softened
from asc_models.training.trainer import Trainer

pytestmark = pytest.mark.system

CONFIG = TrainConfig(epochs=4, batch_size=8, learning_rate=0.05)


def network(seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    data = feature_set()
    return build(SMALL_MODEL, data.network_shape, len(data.classes))


def test_the_loss_is_that_of_the_formula():
    """λ · cross-entropy + (1 − λ) · T² · KL(q ‖ softmax(z / T)), with q the mean of the teachers' softened answers."""
    config = DistilledFrom(temperature=3.0, hard_weight=0.25)
    teachers = [network(1), network(2)]
    teacher = Teacher(config, teachers)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 16, 20, 1)).astype(np.float32)
    z = rng.normal(size=(5, 3)).astype(np.float32)
    y = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1]]
    hard = -(y * log_softmax(z, axis=1)).sum(axis=1).mean()
    answers = [np.log(one(x, training=False).numpy()) for one in teachers]  # log p are logits, up to a constant
    q = np.mean([softmax(answer / 3.0, axis=1) for answer in answers], axis=0)
    expected = 0.25 * hard + 0.75 * 9.0 * rel_entr(q, softmax(z / 3.0, axis=1)).sum(axis=1).mean()
    answer = teacher.answer(tf.constant(x), tf.zeros((5, 0)))
    np.testing.assert_allclose(answer, q, atol=1e-6)
    assert float(teacher.loss(tf.constant(hard), tf.constant(z), answer)) == pytest.approx(expected, rel=1e-5)


def test_a_network_that_agrees_with_its_teacher_has_no_loss():
    """With λ = 0 the loss of the teacher's own logits is 0, for any temperature."""
    teacher = Teacher(DistilledFrom(temperature=2.0, hard_weight=0.0), [network(1)])
    x = tf.random.stateless_normal((4, 16, 20, 1), seed=(1, 2))
    logits = tf.math.log(network(1)(x, training=False))
    assert float(teacher.loss(7.0, logits, teacher.answer(x, None))) == pytest.approx(0.0, abs=1e-5)


def test_softened_probabilities_are_those_of_divided_logits():
    """p^(1/T), normalized, is softmax(z / T); zeros stay finite."""
    z = np.random.default_rng(0).normal(size=(6, 4))
    np.testing.assert_allclose(softened(softmax(z, axis=1), 2.5), softmax(z / 2.5, axis=1), atol=1e-6)
    sure = softened(np.array([[1.0, 0.0]], np.float32), 2.0)
    assert np.isfinite(sure).all()
    assert sure[0, 0] > 0.999


@pytest.mark.parametrize(
    "recipe", [{}, {"mixup_alpha": 0.4}, {"mixup_alpha": 0.0, "class_mix_p": 1.0}], ids=["paper", "mixup", "class_mix"]
)
def test_stored_probabilities_are_mixed_as_the_labels_are(recipe):
    """With one-hot probabilities the further targets of every example are its class probabilities."""
    data = feature_set(24)
    hot = np.eye(3, dtype=np.float32)[data.labels]
    batches = TrainingBatches(data, CONFIG.updated(**recipe), 0, hot)
    assert batches.n_targets == 6
    found = [y for _, y in batches.epoch(0)]
    assert {y.shape for y in found} == {(8, 6)}
    for y in found:
        np.testing.assert_array_equal(y[:, :3], y[:, 3:])
    plain = [x for x, _ in TrainingBatches(data, CONFIG.updated(**recipe), 0).epoch(0)]
    assert all(np.array_equal(a, b) for a, (b, _) in zip(plain, batches.epoch(0), strict=True))


@pytest.mark.parametrize("kind", ["network", "stored", "both"])
def test_a_network_learns_what_only_its_teacher_knows(kind):
    """Labels are shuffled and have no weight: the network learns the scenes from a teacher that was trained on them."""
    data = feature_set(48)
    wise = Trainer(SMALL_MODEL, CONFIG.updated(epochs=14), data, seed=3)
    wise.train_to(14)
    networks = [wise.model] if kind != "stored" else []
    teacher = Teacher(
        DistilledFrom(temperature=2.0, hard_weight=0.0),
        networks,
        None if kind == "network" else wise.predict(data),
    )
    blind = np.random.default_rng(0).permutation(data.labels)
    pupil = Trainer(SMALL_MODEL, CONFIG.updated(epochs=14), replace(data, labels=blind), seed=0, teacher=teacher)
    pupil.train_to(14)
    assert (pupil.predict(data).argmax(axis=1) == data.labels).mean() > 0.9


def test_training_does_not_change_the_teacher():
    """Weights and statistics of a teaching network are the same after a training."""
    teaching = network(1)
    before = [variable.numpy().copy() for variable in teaching.variables]
    trainer = Trainer(
        SMALL_MODEL, CONFIG, feature_set(), seed=0, teacher=Teacher(DistilledFrom(hard_weight=0.5), [teaching])
    )
    trainer.train_to(2)
    assert all(np.array_equal(a, b.numpy()) for a, b in zip(before, teaching.variables, strict=True))


def test_a_distillation_resumes_exactly(tmp_path):
    """Stopped after two epochs and continued, it has the weights of an uninterrupted one."""
    data = feature_set()

    def trainer() -> Trainer:
        teacher = Teacher(DistilledFrom(teachers=("wide-s0",)), [network(1)])
        return Trainer(SMALL_MODEL, CONFIG, data, seed=0, teacher=teacher)

    whole = trainer()
    whole.train_to(2)
    whole.save(tmp_path / "2.npz")
    whole.train_to(4)
    again = trainer()
    again.load(tmp_path / "2.npz")
    again.train_to(4)
    assert all(np.array_equal(a, b) for a, b in zip(whole.weights(), again.weights(), strict=True))
    for other in (None, Teacher(DistilledFrom(teachers=("wide-s1",)), [network(1)])):
        with pytest.raises(TrainingError, match="belongs to another network, recipe or seed"):
            Trainer(SMALL_MODEL, CONFIG, data, seed=0, teacher=other).load(tmp_path / "2.npz")


def test_a_teacher_needs_something_to_teach():
    """Without networks and probabilities it is refused."""
    with pytest.raises(ValueError, match="needs networks or probabilities"):
        Teacher(DistilledFrom())
