"""The public face of the gateway: everything that an Engine can be asked, by noun."""

from clusters.engine import containers as started
from clusters.engine import files, logs, objects, registries, swarm, system, terminals, workloads
from clusters.engine.client import Client
from clusters.engine.endpoint import Endpoint


def connect(endpoint: Endpoint, *, timeout: float = 10) -> "Engine":
    """Connect to an Engine and agree on the API's version; every call ends within the time-out."""
    return Engine(endpoint, timeout=timeout)


class Engine(Client):
    """One Engine. Takes and returns its own JSON; raises nothing but EngineError."""

    ping = system.ping
    info = system.info
    version = system.version
    df_volumes = system.df_volumes

    swarm_inspect = swarm.swarm_inspect
    swarm_init = swarm.swarm_init
    swarm_join = swarm.swarm_join
    swarm_leave = swarm.swarm_leave
    join_tokens = swarm.join_tokens
    rotate_join_tokens = swarm.rotate_join_tokens

    nodes = swarm.nodes
    node = swarm.node
    node_update = swarm.node_update
    node_remove = swarm.node_remove

    networks = objects.networks
    network = objects.network
    network_create = objects.network_create
    network_remove = objects.network_remove

    secrets = objects.secrets
    secret_create = objects.secret_create
    secret_remove = objects.secret_remove

    configs = objects.configs
    config = objects.config
    config_create = objects.config_create
    config_remove = objects.config_remove

    volumes = objects.volumes
    volume = objects.volume
    volume_create = objects.volume_create
    volume_remove = objects.volume_remove

    images = registries.images
    image = registries.image
    image_import = registries.image_import
    image_remove = registries.image_remove
    distribution = registries.distribution
    registry_login = registries.registry_login

    services = workloads.services
    service = workloads.service
    service_create = workloads.service_create
    service_update = workloads.service_update
    service_remove = workloads.service_remove

    tasks = workloads.tasks
    task = workloads.task
    containers = workloads.containers
    container = workloads.container

    container_create = started.container_create
    container_start = started.container_start
    container_stop = started.container_stop
    container_kill = started.container_kill
    container_pause = started.container_pause
    container_unpause = started.container_unpause
    container_remove = started.container_remove

    service_logs = logs.service_logs
    task_logs = logs.task_logs
    container_logs = logs.container_logs
    exec_open = terminals.exec_open

    read_host_file = files.read_host_file
