"""Networks for the tests: random descriptions, and models whose weights are all different and not zero."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from asc_models.config import BlockConfig, ModelConfig


def model_configs() -> st.SearchStrategy[ModelConfig]:
    """Return a strategy over small networks of every kind the factory knows."""
    block = st.builds(
        BlockConfig, filters=st.sampled_from([1, 4, 8, 12, 16]), stride=st.sampled_from([1, 2, (2, 1), (1, 2)])
    )
    return st.builds(
        ModelConfig,
        stem_filters=st.sampled_from([4, 8, 16]),
        stem_stride=st.sampled_from([1, 2, (2, 1)]),
        blocks=st.lists(block, min_size=1, max_size=4).map(tuple),
        kernel_size=st.sampled_from([3, 5]),
        expansion=st.sampled_from([1, 2, 3]),
        attention=st.sampled_from(["none", "channel", "spatial", "casam"]),
        reduction_ratio=st.sampled_from([2, 4, 8, 32]),
        spatial_kernel_size=st.sampled_from([3, 7]),
        dropout=st.sampled_from([0.0, 0.2]),
    )


def with_random_weights(model, seed: int = 0):
    """Set every variable to distinct non-zero values: the converter merges equal buffers of an untrained network."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        values = rng.uniform(0.5, 1.0, variable.shape) * rng.choice([-1.0, 1.0], variable.shape)
        variable.assign(np.abs(values) if "variance" in variable.name else values * 0.3)
    return model
