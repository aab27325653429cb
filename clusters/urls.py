"""Where the pages of clusters and of what is in them stand."""

from django.urls import path

from clusters.views import (
    clusters,
    configs,
    dashboard,
    ingress,
    logs,
    networks,
    nodes,
    registries,
    secrets,
    service_actions,
    services,
    terminal,
    volumes,
)

CLUSTER = "clusters/<slug:slug>/"
DOCKER = f"{CLUSTER}docker/"
SERVICE = f"{DOCKER}services/<str:name>/"

urlpatterns = [
    path("", dashboard.dashboard, name="dashboard"),
    path("clusters/", clusters.clusters, name="clusters"),
    path("clusters/new/", clusters.new_cluster, name="new_cluster"),
    path(CLUSTER, clusters.cluster, name="cluster"),
    path(f"{CLUSTER}nodes/new/", nodes.choose_provider, name="new_node"),
    path(f"{CLUSTER}nodes/new/local/", nodes.new_local_node, name="new_local_node"),
    path(f"{CLUSTER}nodes/new/attach/", nodes.attach_node, name="attach_node"),
    path(f"{CLUSTER}nodes/<str:name>/", nodes.node, name="node"),
    path(f"{CLUSTER}nodes/<str:name>/role/", nodes.change_role, name="node_role"),
    path(
        f"{CLUSTER}nodes/<str:name>/availability/",
        nodes.change_availability,
        name="node_availability",
    ),
    path(f"{CLUSTER}nodes/<str:name>/labels/", nodes.change_labels, name="node_labels"),
    path(f"{CLUSTER}nodes/<str:name>/remove/", nodes.remove_node, name="remove_node"),
    path(DOCKER, registries.manage_docker, name="manage_docker"),
    path(f"{DOCKER}registries/", registries.registries, name="registries"),
    path(f"{DOCKER}registries/new/", registries.new_registry, name="new_registry"),
    path(f"{DOCKER}registries/<int:pk>/", registries.registry, name="registry"),
    path(f"{DOCKER}registries/<int:pk>/test/", registries.test_registry, name="test_registry"),
    path(
        f"{DOCKER}registries/<int:pk>/delete/", registries.delete_registry, name="delete_registry"
    ),
    path(f"{DOCKER}configs/", configs.configs, name="configs"),
    path(f"{DOCKER}configs/new/", configs.new_config, name="new_config"),
    path(f"{DOCKER}configs/<str:name>/", configs.config, name="config"),
    path(f"{DOCKER}configs/<str:name>/rotate/", configs.rotate_config, name="rotate_config"),
    path(f"{DOCKER}configs/<str:name>/delete/", configs.delete_config, name="delete_config"),
    path(f"{DOCKER}secrets/", secrets.secrets, name="secrets"),
    path(f"{DOCKER}secrets/new/", secrets.new_secret, name="new_secret"),
    path(f"{DOCKER}secrets/<str:name>/", secrets.secret, name="secret"),
    path(f"{DOCKER}secrets/<str:name>/rotate/", secrets.rotate_secret, name="rotate_secret"),
    path(f"{DOCKER}secrets/<str:name>/delete/", secrets.delete_secret, name="delete_secret"),
    path(f"{DOCKER}volumes/", volumes.volumes, name="volumes"),
    path(f"{DOCKER}volumes/new/", volumes.new_volume, name="new_volume"),
    path(f"{DOCKER}volumes/<int:pk>/", volumes.volume, name="volume"),
    path(f"{DOCKER}volumes/<int:pk>/delete/", volumes.delete_volume, name="delete_volume"),
    path(f"{DOCKER}services/", services.services, name="services"),
    path(f"{DOCKER}services/new/", services.new_service, name="new_service"),
    path(SERVICE, services.service, name="service"),
    path(f"{SERVICE}edit/", services.edit_service, name="edit_service"),
    path(f"{SERVICE}scale/", service_actions.scale, name="scale_service"),
    path(f"{SERVICE}restart/", service_actions.restart, name="restart_service"),
    path(f"{SERVICE}refresh/", service_actions.refresh, name="refresh_service"),
    path(f"{SERVICE}roll-back/", service_actions.roll_back, name="roll_back_service"),
    path(f"{SERVICE}drift/", service_actions.drift, name="service_drift"),
    path(f"{SERVICE}delete/", service_actions.delete, name="delete_service"),
    path(f"{SERVICE}logs/", logs.logs, name="service_logs"),
    path(f"{SERVICE}logs/stream/", logs.stream, name="service_log_stream"),
    path(f"{SERVICE}tasks/<int:pk>/terminal/", terminal.terminal, name="terminal"),
    path(f"{DOCKER}load-balancer/", ingress.load_balancer, name="load_balancer"),
    path(f"{DOCKER}load-balancer/deploy/", ingress.deploy, name="deploy_load_balancer"),
    path(f"{DOCKER}load-balancer/remove/", ingress.remove, name="remove_load_balancer"),
    path(f"{DOCKER}load-balancer/check/", ingress.check, name="check_domains"),
    path(
        f"{DOCKER}load-balancer/certificates/new/",
        ingress.upload_certificate,
        name="upload_certificate",
    ),
    path(f"{DOCKER}networks/", networks.networks, name="networks"),
]
