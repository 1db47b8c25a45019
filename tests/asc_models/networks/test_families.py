"""Networks against what their sources publish, and descriptions that can't be built."""

import math

import pytest
from asc_models_support import SMALL_MODEL, feature_set, model_configs
from hypothesis import given

from asc_models.config import TrainConfig
from asc_models.errors import SizeError, TrainingError
from asc_models.networks.estimate import estimate
from asc_models.networks.families import (
    FAMILIES,
    BaselineConfig,
    BlockConfig,
    CpMobileConfig,
    ModelConfig,
    StageConfig,
    Tan2025Config,
    parse_network,
)
from asc_models.networks.layer_table import layers
from asc_models.networks.network import NetworkConfig
from asc_models.networks.presets import PRESETS, preset
from asc_models.networks.topology import count
from asc_models.networks.trace import trace
from data_prep.errors import ConfigError
from data_prep.schema import parse_config


def places(layer):
    return layer.output_shape[0] * layer.output_shape[1]


def test_cp_mobile_has_its_published_size():
    """12,310 parameters, 4.35 M MACs on 256 × 64 (Schmid et al. 2023, challenge results): batch norm folded, and one
    MAC for each bias and place, as their counter (torchinfo on the fused model) has it."""
    table = layers(preset("cp-mobile"), (256, 64, 1), 10)
    assert sum(layer.n_kernel + layer.n_bias for layer in table) == 12_310
    with_biases = sum(layer.macs + layer.n_bias * places(layer) for layer in table if layer.kind != "factor")
    assert with_biases == 4_354_304
    assert estimate(preset("cp-mobile"), (256, 64, 1), 10).weight_bytes["float32"] == 4 * 12_310


def test_the_baseline_of_2024_has_its_published_size_layer_by_layer():
    """61,148 parameters, 29,419,156 MACs on 256 × 65 (the README of CPJKU/dcase2024_task1_baseline): batch norm as its
    two trained values a channel, and as many MACs."""
    table = layers(preset("dcase2024-baseline"), (256, 65, 1), 10)
    norms = [2 * layer.output_shape[2] for layer in table]
    assert sum(layer.n_kernel for layer in table) + sum(norms) == 61_148
    assert sum(layer.macs for layer in table) + sum(norms) == 29_419_156
    found = {layer.name: (layer.n_kernel + norm, layer.macs + norm) for layer, norm in zip(table, norms, strict=True)}
    assert found["stem1"] == (88, 304_144)
    assert found["block3_depthwise"] == (704, 331_904)
    assert found["block4_project"] == (3_696, 1_032_304)
    assert found["block6_project"] == (12_688, 3_594_448)


def test_bc_resnet_has_its_published_size():
    """315k parameters for ten scenes (Kim et al., arXiv 2111.06531), batch norm as its two trained values; the size
    does not depend on the input, of which the authors take 256 bands."""
    table = layers(preset("bc-resnet-asc"), (256, 334, 1), 10)
    counted = count(preset("bc-resnet-asc"), (256, 334, 1), 10)
    assert sum(layer.n_params for layer in table) - counted.n_norm // 2 == 314_970


def test_the_cnn_gru_of_2025_has_its_published_size():
    """58,171 parameters, which are their 116,342 bytes in float16, and 10,902,300 MACs on 256 × 33 (complexity.json and
    README of joesephgit/DCASE2025). Their counter, torchinfo, has batch norm as its two trained values a channel and as
    many MACs; a bias of a dense layer as MACs, too; the recurrent unit with a second bias for two of its gates, and all
    of its parameters as MACs of each of 28 steps, of which the first needs no recurrent kernel here."""
    table = layers(preset("tan2025"), (256, 33, 1), 10)
    counted = count(preset("tan2025"), (256, 33, 1), 10)
    second_bias = 2 * 64
    assert sum(layer.n_params for layer in table) - counted.n_norm // 2 + second_bias == 58_171
    of = {layer.name: layer for layer in table}
    recurrent, entry = of["gru_recurrent"], of["gru_input"]
    assert (entry.n_params + recurrent.n_params + second_bias) * 28 == 440_832
    norms = sum(2 * layer.output_shape[2] for layer in table if layer.kind in ("conv", "depthwise") and layer != entry)
    biases = sum(layer.n_bias for layer in table if layer.kind == "dense" and layer != recurrent)
    first_step = recurrent.n_kernel
    of_gru = 28 * (entry.n_bias + recurrent.n_bias + second_bias)
    assert counted.macs + norms + biases + first_step + of_gru == 10_902_300
    assert (counted.n_params, counted.macs) == (59_385, 10_877_656)


@pytest.mark.parametrize("base_channels", [4, 20, 24, 36])
@pytest.mark.parametrize("channels_multiplier", [1.0, 1.25, 1.5, 1.7])
def test_the_paths_of_the_cnn_gru_can_be_shuffled(base_channels, channels_multiplier):
    """Whatever the factor, a path has an even number of channels, which the shuffle needs."""
    table = layers(Tan2025Config(base_channels=base_channels, channels_multiplier=channels_multiplier), (64, 33, 1), 10)
    widths = {layer.name: layer.output_shape[2] for layer in table}
    assert widths["max_widen"] == widths["average_widen"] <= base_channels * channels_multiplier
    assert widths["max_widen"] % 2 == 0


def test_sub_bands_must_have_equally_many_bands():
    """The layer, its bands and the way out are named."""
    with pytest.raises(SizeError, match="stage1_block1_subspectral normalizes 4 sub-bands, but its input has 10 bands"):
        count(preset("bc-resnet-asc"), (20, 100, 1), 10)


@pytest.mark.system
def test_the_baseline_of_2021_weighs_in_keras_what_the_organisers_print():
    """93,004 bytes with weights in float16 and batch norm in float32 (the organisers' printed figure, 90.82 KiB),
    from the closed form and from the Keras model's own variables."""
    from asc_models.training.builder import build

    assert estimate(BaselineConfig(), (40, 500, 1), 10).keras_float16_bytes == 93_004
    model = build(BaselineConfig(), (40, 500, 1), 10)
    sizes = {True: 0, False: 0}
    for layer in model.layers:
        sizes[layer.name.endswith("_norm")] += sum(
            math.prod(variable.shape) for variable in layer.variables if variable.dtype == "float32"
        )
    assert 4 * sizes[True] + 2 * sizes[False] == 93_004


@pytest.mark.parametrize("shape", [(40, 500), (128, 431), (128, 216), (64, 100), (256, 65), (16, 32), (8, 7)])
def test_the_adapted_baseline_of_2021_keeps_its_published_size(shape):
    """46,246 parameters for ten scenes (the organisers' README), whatever the shape of the features; on theirs the
    poolings are theirs."""
    adapted = BaselineConfig.adapted(*shape)
    assert estimate(adapted, (*shape, 1), 10).n_params == 46_246
    assert (adapted == BaselineConfig()) == (shape == (40, 500))


def test_every_preset_says_what_it_assumes():
    """A preset with a published size stands within 2 % of it or is counted otherwise, and says which; the paper's
    systems say what the paper leaves open."""
    for number in (1, 2, 3, 4):
        assert "does not state widths, strides, expansion, r and the position of CASAM" in (
            PRESETS[f"cao2021-system{number}"].assumed
        )
    assert "50,238" in PRESETS["cao2021-system4"].published
    assert "cannot be matched exactly" in PRESETS["cao2021-system4"].assumed
    assert all(facts.source for facts in PRESETS.values())


def test_stages_are_blocks_in_a_row():
    """A stage of n repeats is n blocks of which the first has the stride; `blocks` may stand for stages of one."""
    stages = ModelConfig(stages=(StageConfig(filters=8, stride=2, repeats=3), StageConfig(filters=16, stride=(1, 2))))
    blocks = ModelConfig(
        blocks=[BlockConfig(filters=8, stride=2), {"filters": 8}, {"filters": 8}, {"filters": 16, "stride": (1, 2)}]
    )
    assert layers(stages, (32, 40, 3), 10) == layers(blocks, (32, 40, 3), 10)
    assert [stage.repeats for stage in blocks.stages] == [1, 1, 1, 1]
    assert parse_network({"family": "inverted_residual", "blocks": [{"filters": 8}]}).stages[0].filters == 8


@pytest.mark.parametrize(("place", "n_attentions"), [("input", 1), ("block", 5), ("stage", 2)])
def test_attention_stands_where_it_is_put(place, n_attentions):
    """On the input once, behind every block, or behind every stage."""
    stages = (StageConfig(filters=8, stride=2, repeats=3), StageConfig(filters=16, repeats=2))
    names = [layer.name for layer in layers(ModelConfig(stages=stages, attention_at=place), (32, 40, 3), 10)]
    assert sum(name.endswith("spatial_attention") for name in names) == n_attentions
    assert (names.index("stem") == 3) == (place == "input")


@given(model_configs())
def test_counting_alone_gives_what_the_table_gives(config):
    """The quick count and the table of layers agree in every sum."""
    counted, table = count(config, (32, 40, 3), 10), layers(config, (32, 40, 3), 10)
    assert counted.n_params == sum(layer.n_params for layer in table)
    assert counted.macs == sum(layer.macs for layer in table)
    assert counted.n_kernel == sum(layer.n_kernel for layer in table)
    assert counted.n_bias == sum(layer.n_bias for layer in table)
    assert counted.peak_live >= max(layer.n_live for layer in table)


def test_the_registry_holds_every_family_by_its_name():
    """A family's name is its description's; JSON with that name is read as that family."""
    for name, family in FAMILIES.items():
        assert issubclass(family, NetworkConfig)
        assert isinstance(parse_network({"family": name}), family)


@pytest.mark.parametrize(
    ("family", "description", "message"),
    [
        (ModelConfig, {"kernel_size": 4}, "kernel_size: Input should be 3 or 5 (got 4)"),
        (ModelConfig, {"spatial_kernel_size": 8}, "spatial_kernel_size must be odd, so that the map keeps its size"),
        (ModelConfig, {"stages": []}, "stages: a network needs at least one block, such as stages: [{filters: 32"),
        (ModelConfig, {"blocks": []}, "stages: a network needs at least one block"),
        (ModelConfig, {"blocks": [], "stages": []}, "give either stages or blocks, not both"),
        (ModelConfig, {"stages": [{"filters": 8, "stride": 5}]}, "stages.0: a stride must be 1 to 4"),
        (ModelConfig, {"block": "inverted"}, "unknown block; known: inverted_residual, residual"),
        (ModelConfig, {"attention_at": "end"}, "attention_at: Input should be 'input', 'block' or 'stage'"),
        (CpMobileConfig, {"base_channels": 12}, "base_channels must be a multiple of 8, got 12"),
        (CpMobileConfig, {"n_blocks": [3, 0]}, "every stage at least one block"),
        (Tan2025Config, {"base_channels": 22}, "base_channels must be a multiple of 4, got 22"),
        (Tan2025Config, {"kernel_size": 4}, "kernel_size: Input should be 3, 5 or 7 (got 4)"),
        (Tan2025Config, {"head_channels": 65}, "head_channels: Input should be less than or equal to 64 (got 65)"),
        (CpMobileConfig, {"strides": {7: 2}}, "strides names block 7, but there are blocks 1 to 6"),
    ],
)
def test_a_description_that_cannot_be_is_refused(family, description, message):
    """Even kernels, no block, unknown names, strides out of range: key path, rule, value."""
    with pytest.raises(ConfigError) as error:
        parse_config(family, description, "net.yaml")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("network", "shape", "message"),
    [
        (
            ModelConfig(stages=(StageConfig(filters=8, stride=2),) * 4),
            (8, 40, 3),
            "block3_depthwise has stride 2 × 2, but its input has only 1 × 5 (bands × frames): less than one would be "
            "left; lower its stride or an earlier one, or take a larger input",
        ),
        (ModelConfig(stem_stride=(1, 4)), (40, 3, 1), "stem has stride 1 × 4, but its input has only 40 × 3"),
        (
            Tan2025Config(),
            (256, 5, 1),
            "max_max_pool pools 2 × 2, but its input has only 64 × 1 (bands × frames): nothing would be left",
        ),
        (
            BaselineConfig(),
            (40, 400, 1),
            "pool3 pools 4 × 100, but its input has only 8 × 80 (bands × frames): nothing would be left",
        ),
    ],
)
def test_strides_that_leave_nothing_are_refused(network, shape, message):
    """Where strides or pools leave less than one band or frame, counting and building name layer, values, way out."""
    with pytest.raises(SizeError) as error:
        estimate(network, shape, 10)
    assert message in str(error.value)


@pytest.mark.system
def test_building_refuses_what_counting_refuses():
    """Keras is not asked to build what the count finds too small."""
    from asc_models.training.trainer import Trainer

    network = ModelConfig(stages=(StageConfig(filters=8, stride=4),) * 4)
    with pytest.raises(SizeError, match="less than one would be left"):
        Trainer(network, TrainConfig(), feature_set(4), seed=0)


@pytest.mark.system
@pytest.mark.parametrize(
    ("network", "train", "seed", "found"),
    [
        (SMALL_MODEL.updated(expansion=3), {}, 0, "model.expansion: 2 there, 3 here"),
        (SMALL_MODEL, {"balance": "class"}, 0, "train.balance: 'none' there, 'class' here"),
        (SMALL_MODEL, {}, 1, "seed: 0 there, 1 here"),
    ],
)
def test_a_checkpoint_of_another_config_says_what_differs(network, train, seed, found, tmp_path):
    """A checkpoint of another network, recipe or seed is refused with the differing keys, both values, the way out."""
    from asc_models.training.trainer import Trainer

    path = tmp_path / "state.npz"
    Trainer(SMALL_MODEL, TrainConfig(batch_size=8), feature_set(8), seed=0).save(path)
    other = Trainer(network, TrainConfig(batch_size=8, **train), feature_set(8), seed=seed)
    with pytest.raises(TrainingError) as error:
        other.load(path)
    assert found in str(error.value)
    assert "delete it to train from the start" in str(error.value)


def test_a_projection_is_linear_unless_the_papers_text_is_taken_literally():
    """`projection_activation` puts the activation after every convolution; nothing else of the network changes."""
    usual, literal = (trace(ModelConfig(projection_activation=value), (128, 423, 3), 10) for value in (False, True))
    changed = {name for name in usual if usual[name] != literal[name]}
    assert changed == {name for name in usual if name.endswith("_project")}
    assert len(changed) == len(ModelConfig().stages)
    assert all("relu" in literal[name] and "relu" not in usual[name] for name in changed)
    assert all("linear projections" in PRESETS[f"cao2021-system{n}"].assumed for n in (1, 2, 3, 4))
