"""Service specs: from the form to the Engine's JSON and back, without any I/O."""

from clusters.spec.alter import (
    endpoint_mode,
    forced,
    has_ingress_ports,
    may_run_on,
    pinned,
    repoint,
    scaled,
    with_image,
)
from clusters.spec.build import service_spec
from clusters.spec.defaults import DEFAULTS, GENERATION_LABEL, SERVICE_LABEL
from clusters.spec.read import initial
from clusters.spec.resolve import Uses, named, resolve, uses, with_network_names

__all__ = [
    "DEFAULTS",
    "GENERATION_LABEL",
    "SERVICE_LABEL",
    "Uses",
    "endpoint_mode",
    "forced",
    "has_ingress_ports",
    "initial",
    "may_run_on",
    "named",
    "pinned",
    "repoint",
    "resolve",
    "scaled",
    "service_spec",
    "uses",
    "with_image",
    "with_network_names",
]
