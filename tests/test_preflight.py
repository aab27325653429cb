"""What a node's page warns of."""

import gzip

import pytest

from clusters import kernel, preflight
from clusters.models import Node


def titles(**facts: object) -> str:
    node = Node(**{"engine_version": "24.0.7", "has_esp": True, "has_ipvs": True} | facts)
    return "; ".join(warning.title for warning in preflight.warnings(node))


def test_a_sound_node_has_no_warning() -> None:
    assert titles(clock_skew=0.4) == ""


def test_what_is_not_known_is_not_warned_of() -> None:
    assert titles(has_esp=None, has_ipvs=None, engine_version="", clock_skew=None) == ""


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"has_esp": False}, "cannot encrypt"),
        ({"has_ipvs": False}, "no IPVS"),
        ({"engine_version": "20.10.23"}, "20.10.23 is old"),
        ({"engine_version": "19.03.5"}, "19.03.5 is old"),
        ({"clock_skew": -42.0}, "42 s behind"),
        ({"clock_skew": 7.5}, "8 s ahead of"),
    ],
)
def test_each_shortcoming_is_named(facts: dict[str, object], words: str) -> None:
    assert words in titles(**facts)


def test_debian_s_own_version_suffix_is_no_older_engine() -> None:
    assert titles(engine_version="20.10.24+dfsg1") == ""


def test_a_kernel_s_configuration_says_what_it_can_do() -> None:
    config = b"CONFIG_INET_ESP=m\n# CONFIG_IP_VS is not set\n"
    assert kernel.abilities(config) == kernel.Abilities(esp=True, ipvs=False)
    assert kernel.abilities(gzip.compress(config)) == kernel.Abilities(esp=True, ipvs=False)
