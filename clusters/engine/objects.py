"""Networks, secrets, configs and volumes."""

import base64

from clusters.engine.client import Client, Json


def networks(client: Client) -> list[Json]:
    """Return the networks that the Engine knows."""
    return list(client.get("/networks"))


def network(client: Client, name_or_id: str) -> Json:
    """Return one network."""
    return dict(client.get("/networks/{0}", name_or_id))


def network_create(client: Client, body: Json) -> str:
    """Create a network; return its id."""
    return str(client.post("/networks/create", body=body)["Id"])


def network_remove(client: Client, network_id: str) -> None:
    """Remove a network."""
    client.delete("/networks/{0}", network_id)


def secrets(client: Client) -> list[Json]:
    """Return the swarm's secrets; the Engine never returns their values."""
    return list(client.get("/secrets"))


def secret_create(client: Client, name: str, data: bytes, labels: dict[str, str]) -> str:
    """Create a secret; return its id."""
    encoded = base64.b64encode(data).decode()
    hidden = (encoded, data.decode("utf-8", errors="ignore"))
    body = {"Name": name, "Labels": labels, "Data": encoded}
    return str(client.post("/secrets/create", body=body, hide=hidden)["ID"])


def secret_remove(client: Client, secret_id: str) -> None:
    """Remove a secret."""
    client.delete("/secrets/{0}", secret_id)


def configs(client: Client) -> list[Json]:
    """Return the swarm's configs."""
    return list(client.get("/configs"))


def config(client: Client, config_id: str) -> Json:
    """Return one config with its data, in base64 as the Engine writes it."""
    return dict(client.get("/configs/{0}", config_id))


def config_create(client: Client, name: str, data: bytes, labels: dict[str, str]) -> str:
    """Create a config; return its id."""
    body = {"Name": name, "Labels": labels, "Data": base64.b64encode(data).decode()}
    return str(client.post("/configs/create", body=body)["ID"])


def config_remove(client: Client, config_id: str) -> None:
    """Remove a config."""
    client.delete("/configs/{0}", config_id)


def volumes(client: Client) -> list[Json]:
    """Return the volumes of this Engine; every node has its own."""
    return list(client.get("/volumes").get("Volumes") or [])


def volume(client: Client, name: str) -> Json:
    """Return one volume."""
    return dict(client.get("/volumes/{0}", name))


def volume_create(client: Client, body: Json) -> Json:
    """Create a volume, or return the one that has the name already."""
    return dict(client.post("/volumes/create", body=body))


def volume_remove(client: Client, name: str) -> None:
    """Remove a volume with all that is in it."""
    client.delete("/volumes/{0}", name)
