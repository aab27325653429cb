"""The Engine itself."""

from clusters.engine.client import Client, Json


def ping(client: Client) -> None:
    """Return if the Engine answers, raise if it does not."""
    client.send("GET", "/_ping")


def info(client: Client) -> Json:
    """Return what the Engine says about itself and its machine."""
    return dict(client.get("/info"))


def version(client: Client) -> Json:
    """Return the Engine's versions, as it said when we connected."""
    return dict(client.version_answer)


def df_volumes(client: Client) -> dict[str, int]:
    """Return the size in bytes of every volume that the Engine can measure."""
    found = client.get("/system/df", type="volume").get("Volumes") or []
    sizes = {item["Name"]: (item.get("UsageData") or {}).get("Size", -1) for item in found}
    # The Engine writes -1 for what it cannot measure: network file systems and plugins.
    return {name: int(size) for name, size in sizes.items() if size >= 0}
