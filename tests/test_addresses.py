"""The address ranges that a new cluster takes."""

from ipaddress import IPv4Network

import pytest

from clusters import addresses
from medstack.failures import Failure

ROUTES = """Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
vpn0\t0000C90A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
"""


def test_the_host_routes_are_read_and_the_default_route_is_no_network() -> None:
    assert addresses.of_routes(ROUTES) == [
        IPv4Network("192.168.1.0/24"),
        IPv4Network("10.201.0.0/16"),
    ]


def test_a_pool_that_the_host_uses_is_not_taken() -> None:
    pool = addresses.free_pool(addresses.of_routes(ROUTES))
    assert not pool.overlaps(IPv4Network("10.201.0.0/16"))
    assert pool == IPv4Network("10.211.0.0/16")


def test_the_engine_s_own_networks_and_the_node_s_address_count_as_used() -> None:
    used = addresses.used_by(
        {"DefaultAddressPools": [{"Base": "10.221.0.0/16", "Size": 24}]},
        [{"IPAM": {"Config": [{"Subnet": "10.201.3.0/24"}, {"Subnet": "fd00::/64"}]}}],
        "10.211.9.9",
    )
    assert addresses.free_pool(used) == IPv4Network("10.231.0.0/16")


def test_no_free_pool_is_said_plainly() -> None:
    with pytest.raises(Failure, match="No private address range is free"):
        addresses.free_pool([IPv4Network("0.0.0.0/0")])


def test_the_internal_network_is_a_twentieth_beside_docker_s_ingress() -> None:
    assert addresses.first_subnet("10.201.0.0/16") == IPv4Network("10.201.16.0/20")
