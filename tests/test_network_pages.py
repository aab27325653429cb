"""The page of networks: what is encrypted, and what is not but ought to be."""

from django.test import Client
from django.urls import reverse

from clusters.models import Cluster, Network


def network(cluster: Cluster, name: str, *, encrypted: bool) -> Network:
    """Make a network as the Engine describes one."""
    observed = {
        "Driver": "overlay",
        "Attachable": True,
        "Options": {"encrypted": ""} if encrypted else {},
        "IPAM": {"Config": [{"Subnet": "10.201.16.0/20"}]},
    }
    return Network.objects.create(
        cluster=cluster, engine_id=f"id-of-{name}", name=name, observed=observed
    )


def test_networks_show_their_encryption_and_subnets(browser: Client, cluster: Cluster) -> None:
    network(cluster, "internal", encrypted=True)
    network(cluster, "ingress", encrypted=False)
    page = browser.get(reverse("networks", args=[cluster.slug])).text
    assert "10.201.16.0/20" in page
    assert "Not encrypted" in page
    assert "not compliant" not in page


def test_a_plain_internal_network_is_shown_as_not_compliant(
    browser: Client, cluster: Cluster
) -> None:
    network(cluster, "internal", encrypted=False)
    assert "not compliant" in browser.get(reverse("networks", args=[cluster.slug])).text
