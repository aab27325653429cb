"""Companies with their people, clusters, nodes, and all that runs on them."""

from benchmarks.large.size import (
    HOUR,
    NODES,
    OBJECTS,
    PEOPLE,
    SERVICES,
    SNAPSHOTS,
    TASKS,
    VOLUMES,
    Size,
)


def people(size: Size) -> None:
    """Make companies and who is in them; one person works in all companies."""
    from medstack.models import Company, Membership, User

    companies = Company.objects.bulk_create(
        Company(name=f"Hospital {number:02d}") for number in range(size.companies)
    )
    everywhere = User.objects.create(email="everywhere@example.com")
    User.objects.create(email="support@example.com", is_staff=True, is_superuser=True)
    members = [Membership(user=everywhere, company=one, role="operator") for one in companies]
    for place, company in enumerate(companies):
        users = User.objects.bulk_create(
            User(email=f"person-{number}@hospital-{place:02d}.example") for number in range(PEOPLE)
        )
        roles = ["owner", "auditor", *["operator"] * (PEOPLE - 2)]
        members += [
            Membership(user=user, company=company, role=role)
            for user, role in zip(users, roles, strict=True)
        ]
    Membership.objects.bulk_create(members)


def clusters(size: Size) -> None:
    """Make clusters, their nodes, and the volumes on these."""
    from django.utils import timezone

    from backups.models import Agent, Protection, Repository
    from clusters.models import Cluster, Node, Volume
    from medstack.models import Company

    now = timezone.now()
    companies = list(Company.objects.order_by("pk"))
    made = Cluster.objects.bulk_create(
        Cluster(
            company=companies[number % len(companies)],
            name=f"Cluster {number:03d}",
            slug=f"cluster-{number:03d}",
            swarm_id=f"swarm-{number}",
            observed_at=now,
        )
        for number in range(size.clusters)
    )
    nodes = Node.objects.bulk_create(
        Node(
            cluster=cluster,
            name=f"node-{number}",
            provider=Node.Provider.ATTACH,
            endpoint_url=f"unix:///nonexistent/{cluster.slug}-{number}.sock",
            address=f"192.0.2.{number + 1}",
            role=Node.Role.MANAGER if number < 3 else Node.Role.WORKER,
            swarm_node_id=f"{cluster.slug}-{number}",
            swarm_state="ready",
            availability="active",
            seen_at=now,
            cpus=8,
            memory_bytes=64 << 30,
            engine_version="27.5.1",
            api_version="1.47",
        )
        for cluster in made
        for number in range(NODES)
    )
    Volume.objects.bulk_create(
        Volume(node=node, name=f"{kind}-{node.name}", observed_at=now, size_bytes=10**9)
        for node in nodes
        for kind in ("database", "images")[:VOLUMES]
    )
    Agent.objects.bulk_create(
        Agent(node=node, version="1", state="running", observed_at=now) for node in nodes
    )
    since = now - SNAPSHOTS * HOUR
    Protection.objects.bulk_create(Protection(cluster=one, since=since) for one in made)
    Repository.objects.bulk_create(
        Repository(cluster=one, folder=f"{one.slug}-1", password="a password", initialised_at=since)
        for one in made
    )


def objects(size: Size) -> None:
    """Make registries, configs, secrets and networks."""
    from clusters.models import Cluster, Config, Network, Registry, Secret

    for cluster in Cluster.objects.order_by("pk"):
        keys = [f"{cluster.slug}-{number}" for number in range(OBJECTS)]
        Registry.objects.bulk_create(
            Registry(cluster=cluster, address=f"registry-{number}.example.com")
            for number in range(3)
        )
        Config.objects.bulk_create(
            Config(cluster=cluster, name=f"config-{key}", engine_id=f"c-{key}", data=b"x" * 500)
            for key in keys
        )
        Secret.objects.bulk_create(
            Secret(cluster=cluster, name=f"secret-{key}", engine_id=f"s-{key}") for key in keys
        )
        Network.objects.bulk_create(
            Network(cluster=cluster, name=f"network-{key}", engine_id=f"n-{key}")
            for key in keys[:3]
        )


def services(size: Size) -> None:
    """Make services, their tasks and some domains."""
    from django.utils import timezone

    from clusters.models import Cluster, DomainMapping, Service, Task
    from tests.running import spec_of

    now = timezone.now()
    for cluster in Cluster.objects.order_by("pk"):
        nodes = list(cluster.nodes.order_by("pk"))
        made = []
        for number in range(SERVICES):
            spec = spec_of(f"service-{number:02d}", replicas=TASKS)
            made.append(
                Service(
                    cluster=cluster,
                    name=f"service-{number:02d}",
                    spec=spec,
                    applied=spec,
                    applied_generation=1,
                    readback=spec,
                    observed=spec,
                    observed_version=7,
                    engine_id=f"{cluster.slug}-{number}",
                    running=TASKS,
                    desired=TASKS,
                )
            )
        Service.objects.bulk_create(made)
        Task.objects.bulk_create(
            Task(
                cluster=cluster,
                service=service,
                node=nodes[(place + slot) % NODES],
                engine_id=f"{service.engine_id}-{slot}",
                slot=slot + 1,
                state="running",
                desired_state="running",
                container_id=f"container-{service.pk}-{slot}",
                image="registry.example.com/portal/web:1.4",
                since=now,
            )
            for place, service in enumerate(made)
            for slot in range(TASKS)
        )
        DomainMapping.objects.bulk_create(
            DomainMapping(
                service=service, domain=f"{service.name}.{cluster.slug}.example", port=8080
            )
            for service in made[:OBJECTS]
        )
