"""What a container finds in its file system: secrets, configs, volumes and tmpfs, both ways."""

from copy import deepcopy
from typing import Any

from clusters.spec.constraints import pinned_node

Json = dict[str, Any]
Rows = list[Json]
KINDS = {"secrets": "Secret", "configs": "Config"}


def references(kind: str, rows: Rows, base: Rows) -> Rows:
    """Return the references to secrets or configs, keeping those the form does not know."""
    name_key = f"{KINDS[kind]}Name"
    former = {(item.get(name_key), item["File"].get("Name")): item for item in files(base)}
    result = [deepcopy(item) for item in base if not item.get("File")]
    for row in rows:
        item = deepcopy(former.get((row["name"], row["target"]), {}))
        file = {
            "Name": row["target"],
            "UID": row["uid"],
            "GID": row["gid"],
            "Mode": row["mode"],
        }
        item["File"] = {**item.get("File", {}), **file}
        item[name_key] = row["name"]
        result.append(item)
    return result


def reference_rows(kind: str, items: Rows) -> Rows:
    """Return the form's rows of secrets or configs."""
    name_key = f"{KINDS[kind]}Name"
    return [
        {
            "name": item.get(name_key, ""),
            "target": item["File"].get("Name", ""),
            "uid": item["File"].get("UID") or "0",
            "gid": item["File"].get("GID") or "0",
            "mode": item["File"].get("Mode", 0o444),
        }
        for item in files(items)
    ]


def files(items: Rows) -> Rows:
    """Return the references that are mounted as files; others are not the form's."""
    return [item for item in items if item.get("File")]


def mounts(volumes: Rows, tmpfs: Rows, base: Rows) -> Rows:
    """Return the Engine's mounts, keeping those the form does not know."""
    former = {item.get("Target"): item for item in base}
    result = [deepcopy(m) for m in base if not (is_volume(m) or is_tmpfs(m))]
    for row in volumes:
        source = row["volume"].partition("/")[2]
        item = carried(former.get(row["path"]), kind="volume", source=source)
        item |= {
            "Type": "volume",
            "Source": source,
            "Target": row["path"],
            "ReadOnly": row["read_only"],
        }
        result.append(item)
    for row in tmpfs:
        item = carried(former.get(row["path"]), kind="tmpfs")
        options = item.get("TmpfsOptions") or {}
        options.pop("SizeBytes", None)
        if row["size"]:
            options["SizeBytes"] = row["size"]
        item |= {"Type": "tmpfs", "Target": row["path"], "TmpfsOptions": options}
        result.append(item)
    return result


def carried(former: Json | None, *, kind: str, source: str = "") -> Json:
    """Return a copy of the former mount at this path if it is the same thing, else nothing."""
    if former and former.get("Type") == kind and (former.get("Source") or "") == source:
        return deepcopy(former)
    return {}


def volume_rows(items: Rows, constraints: list[str]) -> Rows:
    """Return the form's rows of volumes; the node is the one that the service is pinned to."""
    node = pinned_node(constraints)
    return [
        {
            "volume": f"{node}/{item['Source']}",
            "path": item.get("Target", ""),
            "read_only": bool(item.get("ReadOnly")),
        }
        for item in items
        if is_volume(item)
    ]


def tmpfs_rows(items: Rows) -> Rows:
    """Return the form's rows of file systems in memory."""
    return [
        {
            "path": item.get("Target", ""),
            "size": (item.get("TmpfsOptions") or {}).get("SizeBytes") or None,
        }
        for item in items
        if is_tmpfs(item)
    ]


def pin_of(volumes: Rows) -> str:
    """Return the id of the node that holds the volumes, or nothing."""
    return next((row["volume"].partition("/")[0] for row in volumes), "")


def is_volume(mount: Json) -> bool:
    """Say whether the mount is a named volume."""
    return mount.get("Type") == "volume" and bool(mount.get("Source"))


def is_tmpfs(mount: Json) -> bool:
    """Say whether the mount is a file system in memory."""
    return mount.get("Type") == "tmpfs"
