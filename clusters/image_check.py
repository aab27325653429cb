"""Find out, while a form waits, whether an image exists."""

from clusters import engine, images
from clusters.models import Cluster, Node
from clusters.page_reads import ask_manager

# What a registry says when it was reached and does not give the image.
DENIED = ("denied", "unauthorized", "authentication required", "no basic auth credentials")
UNKNOWN = ("manifest unknown", "manifest for", "name unknown", "not found", "no such image")


def problem_with(cluster: Cluster, image: str) -> str:
    """Return why an image cannot run in the cluster; nothing when it can, or nobody can tell.

    Asks an Engine once, for 2.5 seconds at most. One that does not answer in time is no reason to
    refuse the form: the operation will tell.
    """
    reference = images.parse(image)
    if is_on_a_node(cluster, reference):
        return ""
    registry = images.matching_registry(reference, cluster.registries.all())
    auth = (
        engine.RegistryAuth(registry.address, registry.username, registry.password)
        if registry
        else None
    )
    try:
        ask_manager(cluster, lambda manager: manager.distribution(image, auth))
    except engine.Unreachable:
        return ""
    except engine.NotFound as error:
        return f"The registry does not know this image: {error}"
    except engine.EngineError as error:
        return explained(reference, str(error), has_credentials=registry is not None)
    return ""


def is_on_a_node(cluster: Cluster, reference: images.ImageReference) -> bool:
    """Say whether a node of the cluster has the image, as it was last seen."""
    wanted = tagged(reference)
    for node in Node.objects.present().filter(cluster=cluster).only("images"):
        for name in node.images:
            try:
                found = images.parse(name)
            except images.InvalidReference:
                # An image without a name is listed as <none>:<none>.
                continue
            if tagged(found) == wanted:
                return True
    return False


def tagged(reference: images.ImageReference) -> str:
    """Return the one name by which two references to the same image are equal."""
    if reference.digest:
        return f"{reference.name}@{reference.digest}"
    return f"{reference.name}:{reference.tag or 'latest'}"


def explained(reference: images.ImageReference, words: str, *, has_credentials: bool) -> str:
    """Return the registry's words with what they mean here."""
    lowered = words.lower()
    if any(word in lowered for word in DENIED):
        hint = (
            "check the registry's credentials and the image's name"
            if has_credentials
            else f"add the registry {reference.host}, or check the image's name"
        )
        return f"The registry does not give this image: {words}. To go on, {hint}."
    if any(word in lowered for word in UNKNOWN):
        return f"The registry does not know this image: {words}"
    return f"No node has this image, and its registry cannot be asked: {words}"
