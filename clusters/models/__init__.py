"""What an operator runs: clusters, their nodes, and the Docker objects in them."""

from clusters.models.cluster import Cluster, Network
from clusters.models.ingress import Certificate, DomainMapping, LoadBalancer
from clusters.models.node import Node, Volume
from clusters.models.objects import Config, Registry, Secret
from clusters.models.service import Service, Task

__all__ = [
    "Certificate",
    "Cluster",
    "Config",
    "DomainMapping",
    "LoadBalancer",
    "Network",
    "Node",
    "Registry",
    "Secret",
    "Service",
    "Task",
    "Volume",
]
