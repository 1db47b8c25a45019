"""What the poolings before the classifier compute."""

import numpy as np
import pytest
from asc_models_support import SMALL_MODEL

from asc_models.training.builder import build

pytestmark = pytest.mark.system

SHAPE = (16, 20, 1)


def pooled(head, scores=None):
    """Return a network's last map and what its pooling makes of it."""
    import keras

    model = build(SMALL_MODEL.updated(head=head, attention="none"), SHAPE, 3)
    if scores is not None:
        model.get_layer("pool_scores").kernel.assign(scores.reshape(1, 1, -1, 1))
    layer = model.get_layer("logits")
    first = model.get_layer({"mean_max": "pool_mean", "attention": "pool_scores"}[head])
    x = np.random.default_rng(0).normal(size=(5, *SHAPE)).astype(np.float32)
    maps, vectors = keras.Model(model.input, [first.input, layer.input])(x)
    return maps.numpy(), vectors.numpy()


def test_mean_max_is_the_sum_of_both():
    """Per channel, over the whole map."""
    maps, vectors = pooled("mean_max")
    np.testing.assert_allclose(vectors, maps.mean(axis=(1, 2)) + maps.max(axis=(1, 2)), rtol=1e-5, atol=1e-6)


def test_attention_is_a_weighted_mean_that_begins_as_the_plain_one():
    """Weights are the softmax over positions of a linear score of their channels; scores begin at 0."""
    maps, vectors = pooled("attention")
    np.testing.assert_allclose(vectors, maps.mean(axis=(1, 2)), rtol=1e-5, atol=1e-6)
    scores = np.random.default_rng(1).normal(size=maps.shape[-1]).astype(np.float32)
    maps, vectors = pooled("attention", scores)
    weights = np.exp(maps @ scores)
    weights /= weights.sum(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(vectors, (maps * weights[..., None]).sum(axis=(1, 2)), rtol=1e-4, atol=1e-5)
    assert np.abs(vectors - maps.mean(axis=(1, 2))).max() > 0.01
