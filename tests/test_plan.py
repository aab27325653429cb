"""What restoring an environment would do: each thing once, nothing silently, nothing over."""

import base64
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.manifest import Manifest
from backups.parts import Environment, Secret, VolumeKey, VolumePart
from backups.placement import unplaceable
from backups.plan import plan
from backups.planned import Plan, Target
from backups.wanted import OldNode, Place, Wanted, moved, new_values, old_nodes, wanted
from clusters.ingress.routes import Route
from clusters.ingress.routes import labels as published
from medstack.failures import Failure

Json = dict[str, Any]
NOON = datetime(2025, 6, 18, 12, tzinfo=UTC)
DIGEST = "app:1@sha256:" + "a" * 64
A = Place("new-a", "ida2", "host-a2", "manager")
B = Place("new-b", "idb2", "host-b2", "worker", {"zone": "east"})
NODES = {"a": A, "b": B}


def part(node: str, volume: str, **more: Any) -> VolumePart:
    values = {
        "state": "captured",
        "snapshot": "1" * 64,
        "tree": "2" * 64,
        "files": 3,
        "bytes": 4096,
    }
    return VolumePart(node=node, volume=volume, **values | more)  # type: ignore[arg-type]


def service(name: str, *, constraints: tuple[str, ...] = (), **more: Any) -> Json:
    container: Json = {"Image": DIGEST} | more.pop("container", {})
    template: Json = {
        "ContainerSpec": container,
        "Placement": {"Constraints": list(constraints)},
        "Networks": [{"Target": "net1"}],
        "ForceUpdate": 3,
    }
    spec = {"Name": name, "Labels": {}, "TaskTemplate": template, "Mode": {"Replicated": {}}}
    return {"ID": f"id-{name}", "Spec": spec | more}


NETWORK: Json = {
    "Id": "net1",
    "Name": "backend",
    "Driver": "overlay",
    "Attachable": True,
    "Internal": False,
    "Options": {"com.docker.network.driver.overlay.vxlanid_list": "4097"},
    "Labels": {},
    "IPAM": {"Driver": "default", "Config": [{"Subnet": "10.9.0.0/24", "Gateway": "10.9.0.1"}]},
}
USES = {
    "Secrets": [{"SecretID": "s1", "SecretName": "key", "File": {"Name": "key"}}],
    "Configs": [{"ConfigID": "c1", "ConfigName": "conf", "File": {"Name": "/conf"}}],
    "Mounts": [{"Type": "volume", "Source": "data", "Target": "/data"}],
}
ENVIRONMENT = Environment(
    services=(
        service("web", Labels=published("web", [Route("shop.example", 80)])),
        service("db", constraints=("node.id==ida", "node.labels.disk==ssd"), container=USES),
    ),
    configs=({"ID": "c1", "Spec": {"Name": "conf", "Labels": {}, "Data": "aGVsbG8="}},),
    secrets=(
        Secret(name="key", restorable=True, spec={"Name": "key", "Labels": {}}),
        Secret(
            name="medstack-registries-1",
            restorable=True,
            spec={"Name": "medstack-registries-1", "Labels": {"medstack.kind": "registries"}},
        ),
    ),
    registries=({"address": "registry.example.com", "username": "ann"},),
    networks=(NETWORK, NETWORK | {"Id": "net0", "Name": "internal"}),
    node_labels=(
        {"ID": "ida", "Hostname": "host-a", "Role": "manager", "Labels": {"disk": "ssd"}},
        {"ID": "idb", "Hostname": "host-b", "Role": "worker", "Labels": {"medstack.node": "7"}},
    ),
    nodes=({"ID": "ida", "Name": "a"}, {"ID": "idb", "Name": "b"}),
    secrets_snapshot="3" * 64,
    load_balancer={"node": "a", "email": "ops@example.com"},
)
VOLUMES = (part("a", "data"), part("b", "logs"))


def manifest(environment: Environment | None = ENVIRONMENT, **more: Any) -> Manifest:
    values: Json = {"state": "complete", "reasons": (), "volumes": VOLUMES} | more
    if environment is None:
        values |= {"state": "partial", "reasons": ("No node reported the environment.",)}
    return Manifest(cluster="c1", due=NOON, environment=environment, **values)


def target(**more: Any) -> Target:
    return Target(**{"places": (A, B)} | more)


def planned(found: Manifest | None = None, there: Target | None = None, **how: Any) -> Plan:
    found = found or manifest()
    nodes = how.pop("nodes", NODES)
    return plan(found, wanted(found, nodes, **how), there or target(), nodes)


def names(items: list[Any], kind: str) -> list[str]:
    return [item.name for item in items if item.kind == kind]


def conflict(found: Plan) -> str:
    (only,) = found.conflicts
    return f"{only.kind} {only.name}: {only.detail}"


def as_made(found: Wanted) -> Target:
    """Return a cluster on which everything was restored."""
    return target(
        places=tuple(
            replace(place, labels={**place.labels, **found.labels.get(place.name, {})})
            for place in (A, B)
        ),
        networks={one["Name"]: one for one in found.networks},
        registries={one["address"]: one["username"] for one in found.registries},
        secrets=frozenset(one["Name"] for one in found.secrets),
        restored_secrets=frozenset(one["Name"] for one in found.secrets),
        configs={one["Name"]: one["Data"] for one in found.configs},
        volumes=frozenset(one.key for one in found.volumes),
        begun=frozenset(one.key for one in found.volumes),
        filled=frozenset(one.key for one in found.volumes),
        services={one["Name"]: one for one in found.services},
        load_balancer=found.load_balancer,
    )


def test_onto_a_fresh_cluster_everything_is_created_in_the_order_that_services_need() -> None:
    found = planned()
    assert not found.conflicts and not found.present and not found.warnings
    kinds = list(dict.fromkeys(item.kind for item in found.created))
    assert kinds == [
        "node labels",
        "network",
        "registry",
        "secret",
        "config",
        "volume",
        "service",
        "load balancer",
    ]
    assert names(found.created, "service") == ["db", "web"]
    # The console makes these by itself.
    assert names(found.created, "secret") == ["key"]
    assert names(found.created, "network") == ["backend"]


def test_what_was_restored_once_is_there_and_nothing_is_made_again() -> None:
    found = planned(there=as_made(wanted(manifest(), NODES)))
    assert not found.created and not found.conflicts and not found.warnings
    assert len(found.present) == len(planned().created)


def test_specs_have_names_for_ids_and_the_new_nodes_for_the_old() -> None:
    db, _ = wanted(manifest(), NODES).services
    template = db["TaskTemplate"]
    assert template["Placement"]["Constraints"] == ["node.id==ida2", "node.labels.disk==ssd"]
    assert template["Networks"] == [{"Target": "backend"}]
    assert "SecretID" not in template["ContainerSpec"]["Secrets"][0]
    assert "ForceUpdate" not in template
    assert wanted(manifest(), NODES).load_balancer["node"] == "new-a"


def test_a_network_comes_back_with_its_addresses_but_without_what_the_swarm_gave_it() -> None:
    (body,) = wanted(manifest(), NODES).networks
    assert body["IPAM"]["Config"] == [{"Subnet": "10.9.0.0/24", "Gateway": "10.9.0.1"}]
    assert body["Options"] == {}


IDS = st.sampled_from(["ida", "idb", "IDA", "host-a", "host-b", "elsewhere"])
CONSTRAINTS = st.builds(
    lambda key, operator, value: f"{key}{operator}{value}",
    st.sampled_from(["node.id", "node.hostname", "node.labels.zone", "node.role"]),
    st.sampled_from(["==", "!=", " == "]),
    IDS,
)


@given(CONSTRAINTS | st.text())
def test_a_constraint_names_the_new_node_wherever_it_named_the_old_one(text: str) -> None:
    old = [OldNode("a", "ida", "host-a"), OldNode("b", "idb", "host-b")]
    result = moved(text, new_values(old, NODES))
    key, _, value = text.replace("!=", "==").partition("==")
    known = {
        ("node.id", "ida"): "ida2",
        ("node.id", "idb"): "idb2",
        ("node.hostname", "host-a"): "host-a2",
        ("node.hostname", "host-b"): "host-b2",
    }
    new = known.get((key.strip(), value.strip().lower()))
    assert result == (f"{key.strip()}{'!=' if '!=' in text else '=='}{new}" if new else text)


@given(
    st.sets(st.sampled_from(["networks", "registries", "secrets", "configs", "services"])),
    st.sets(st.sampled_from(["new-a/data", "new-b/logs"])),
    st.booleans(),
)
def test_whatever_is_there_everything_wanted_is_in_the_plan_exactly_once(
    parts: set[str], volumes: set[str], labelled: bool
) -> None:
    whole = as_made(wanted(manifest(), NODES))
    there = target(
        **{name: getattr(whole, name) for name in parts},
        volumes=frozenset(volumes),
        **({"places": whole.places} if labelled else {}),
    )
    found = planned(there=there)
    keys = [(item.kind, item.name) for item in found.items]
    assert len(keys) == len(set(keys)) == len(planned().created)
    # A volume that is there, and was not made by a restore, always stops everything.
    assert {item.name for item in found.conflicts} == {key.partition("/")[2] for key in volumes}


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ({"networks": {"backend": {"Driver": "overlay"}}}, "network backend: A network of this"),
        ({"registries": {"registry.example.com": "bob"}}, "used as bob here, not as ann"),
        ({"configs": {"conf": base64.b64encode(b"other").decode()}}, "config conf: .*another"),
        ({"volumes": frozenset({"new-a/data"})}, "volume data: .*not touched"),
        ({"services": {"db": {"Name": "db"}}}, "service db: Another service"),
        ({"domains": {"shop.example": "a service"}}, "shop.example belongs to a service"),
        ({"load_balancer": {"email": "other"}}, "load balancer .*Another one"),
        ({"places": (replace(A, role="worker"), B)}, "new-a is no manager"),
    ],
)
def test_what_stands_in_the_way_is_a_conflict_with_what_to_do(there: Json, words: str) -> None:
    assert re.search(words, conflict(planned(there=target(**there))))


def test_an_old_node_with_something_on_it_needs_a_new_one() -> None:
    found = planned(nodes={"a": A})
    assert conflict(found).startswith("node b: It holds logs.")
    assert [node.name for node in old_nodes(manifest()) if node.reasons] == ["a", "b"]
    reasons = old_nodes(manifest())[0].reasons
    assert reasons == ("holds data", "runs db", "has the load balancer", "has the labels disk")


def test_two_volumes_of_one_name_must_not_meet_on_a_node() -> None:
    both = manifest(volumes=(part("a", "data"), part("b", "data")))
    found = planned(both, nodes={"a": A, "b": A})
    assert all("would meet on new-a" in item.detail for item in found.conflicts)
    assert len(found.conflicts) == 2


def test_a_service_whose_secret_is_lost_is_a_conflict_until_somebody_makes_one() -> None:
    lost = Secret(name="key", restorable=False, reason="A driver holds it.", spec={"Name": "key"})
    without = manifest(replace(ENVIRONMENT, secrets=(lost,), registries=()))
    found = planned(without)
    assert "needs the secret “key”" in conflict(found)
    assert "The secret “key” cannot be restored: A driver holds it." in found.warnings
    assert not planned(without, target(secrets=frozenset({"key"}))).conflicts


def test_a_service_that_no_node_can_run_is_a_conflict() -> None:
    bound = replace(ENVIRONMENT, services=(service("web", constraints=("node.labels.gpu==yes",)),))
    assert "No node meets its placement (node.labels.gpu==yes)" in conflict(
        planned(manifest(bound))
    )


def test_placement_counts_the_labels_that_come_and_leaves_platforms_to_the_swarm() -> None:
    spec = service("web", constraints=("node.labels.disk!=hdd", "node.platform.arch==arm"))["Spec"]
    assert unplaceable(spec, [A], {}) == ""
    assert unplaceable(spec, [A], {"new-a": {"disk": "hdd"}})


def warnings_of(found: Plan) -> str:
    assert not found.conflicts
    return " ".join(found.warnings)


def test_volumes_without_data_come_back_empty_and_that_is_said() -> None:
    failed = VolumePart(node="a", volume="data", state="failed", reason="disk on fire")
    reasons = (f"{failed.key} failed: disk on fire",)
    some = manifest(state="partial", volumes=(failed, part("b", "logs")), reasons=reasons)
    assert "comes back empty: disk on fire" in warnings_of(planned(some))
    gone = planned(purged=[VolumeKey("b", "logs")])
    assert 'Volume "logs" of node "b" comes back empty' in warnings_of(gone)


def test_a_share_whose_password_is_hidden_is_said_unless_the_console_knows_it() -> None:
    options = {"type": "cifs", "o": "username=a,password=***", "device": "//s/x"}
    share = part("b", "logs", spec={"Driver": "local", "Options": options, "Labels": {}})
    found = manifest(volumes=(part("a", "data"), share))
    assert "needs a password that no backup holds" in warnings_of(planned(found))
    known = {share.key: options | {"o": "username=a,password=x"}}
    assert "is a share" in warnings_of(planned(found, options=known))


def test_images_without_a_digest_and_jobs_are_said() -> None:
    job = service("job", container={"Image": "app:1"}, Mode={"ReplicatedJob": {}})
    words = warnings_of(planned(manifest(replace(ENVIRONMENT, services=(job,)))))
    assert "The digest of “app:1” is not known" in words
    assert "The service job is a job: it runs once more." in words


def test_a_secret_that_is_there_already_cannot_be_compared_and_that_is_said() -> None:
    there = target(secrets=frozenset({"key"}))
    assert "A secret “key” is there already" in warnings_of(planned(there=there))


def test_a_network_whose_addresses_are_taken_gets_others_and_that_is_said() -> None:
    other = {"internal": {"IPAM": {"Config": [{"Subnet": "10.9.0.0/20"}]}}}
    words = warnings_of(planned(there=target(networks=other)))
    assert "taken by “internal”" in words


def test_a_restore_that_was_cut_short_goes_on_with_what_it_began() -> None:
    there = target(volumes=frozenset({"new-a/data", "new-b/logs"}), begun=frozenset({"new-a/data"}))
    there = replace(there, begun=there.volumes, filled=frozenset({"new-b/logs"}))
    found = planned(there=there)
    assert not found.conflicts
    assert names(found.created, "volume") == ["data"]
    assert names(found.present, "volume") == ["logs"]


def test_a_snapshot_without_an_environment_says_so() -> None:
    with pytest.raises(Failure, match="holds no environment"):
        planned(manifest(None))
