"""The search takes what is special to a family of networks from the family."""

import ast
from typing import ClassVar, Literal

import pytest
from pydantic import Field
from source_support import modules, parsed

from asc_models.networks.families import FAMILIES
from asc_models.networks.network import Network, NetworkConfig, Shorthand, T
from data_prep.errors import ConfigError
from data_prep.schema import parse_config
from search.space.config import SpaceConfig
from search.space.space import Space


class Doubling(Shorthand):
    """Widths that double."""

    field: ClassVar = "widths"
    choices: ClassVar = {"first": (4, 8), "n_layers": (1, 2, 3)}

    first: int = Field(4, ge=1)
    n_layers: int = Field(1, ge=1)

    def value(self) -> list[int]:
        """Return the widths."""
        return [self.first * 2**index for index in range(self.n_layers)]


class Plain(NetworkConfig):
    """Convolutions one after the other."""

    choices: ClassVar = {"head": ("mean", "dense"), "units": (8, 16)}
    without_effect: ClassVar = {"units": {"head": ("mean",)}}
    shorthand: ClassVar = Doubling

    family: Literal["plain"] = "plain"
    widths: tuple[int, ...] = (4,)
    head: Literal["mean", "dense"] = "mean"
    units: int = 8

    def assemble(self, net: Network[T], x: T, n_classes: int) -> T:
        """Return the logits of the input `x`."""
        for number, width in enumerate(self.widths, start=1):
            x = net.conv(x, f"conv{number}", width, 3)
        x = net.global_pool(x, "pool")
        return net.classifier(net.dense(x, "dense", self.units) if self.head == "dense" else x, n_classes)


@pytest.fixture
def plain(monkeypatch):
    """A family that the search has never heard of."""
    monkeypatch.setitem(FAMILIES, "plain", Plain)


@pytest.mark.usefixtures("plain")
def test_a_new_family_brings_its_own_knobs():
    """A family's default choices, shorthand and fields without effect make its space, and its points its networks."""
    config = SpaceConfig(family="plain")
    assert {name: knob.choices for name, knob in config.knobs.items()} == {**Doubling.choices, **Plain.choices}
    assert config.knobs["units"].when == {"head": ("dense",)}
    space = Space(config, (16, 12, 1), 3)
    assert space.size == 2 * 3 * (1 + 2)
    assert space.settings({"first": 8, "n_layers": 3, "head": "mean"}).model == Plain(widths=(8, 16, 32))
    assert set(space.widths) == {"first", "n_layers", "units"}


@pytest.mark.usefixtures("plain")
def test_a_family_takes_its_shorthand_or_the_field():
    """With the field itself among the knobs the shorthand's defaults are gone; both together are refused."""
    assert "first" not in SpaceConfig.model_validate({"family": "plain", "widths.0": [2, 4]}).knobs
    with pytest.raises(ConfigError, match="describes the widths, as first do: use only one of the two"):
        parse_config(SpaceConfig, {"family": "plain", "first": [2, 4], "widths": [[2], [4]]}, "space")


def test_no_module_of_the_search_names_a_family():
    """Apart from its documentation, the search's source has no family's name in it."""
    naming = []
    found = modules("search")
    for path in found:
        constants = (node.value for node in ast.walk(parsed(path)) if isinstance(node, ast.Constant))
        naming += [(path.name, value) for value in constants if isinstance(value, str) and value in FAMILIES]
    assert len(found) > 40
    assert naming == []
