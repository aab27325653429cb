"""Which section of the documents helps on which page; pure. A test follows every one of them."""

from collections.abc import Mapping

OTHERWISE = "operating"
# By the name of a page's address, the longest beginning that fits; so new pages of a kind have one.
SECTIONS: Mapping[str, str] = {
    "account_": "people#signing-in",
    "mfa_": "people#signing-in",
    "usersessions": "people#signing-in",
    "change_password": "people#signing-in",
    "member": "people#roles",
    "change_member": "people#roles",
    "invit": "people#roles",
    "accept_invitation": "people#roles",
    "event": "people#the-audit-record",
    "operation": "operating#operations",
    "cluster": "operating#clusters-and-nodes",
    "new_cluster": "operating#clusters-and-nodes",
    "node": "operating#clusters-and-nodes",
    "new_node": "operating#clusters-and-nodes",
    "new_local_node": "operating#clusters-and-nodes",
    "attach_node": "operating#attach-an-engine",
    "remove_node": "operating#clusters-and-nodes",
    "registr": "operating#registries",
    "new_registry": "operating#registries",
    "delete_registry": "operating#registries",
    "config": "operating#configs-and-secrets",
    "new_config": "operating#configs-and-secrets",
    "rotate_": "operating#configs-and-secrets",
    "delete_config": "operating#configs-and-secrets",
    "secret": "operating#configs-and-secrets",
    "new_secret": "operating#configs-and-secrets",
    "delete_secret": "operating#configs-and-secrets",
    "volume": "operating#volumes",
    "new_volume": "operating#volumes",
    "delete_volume": "operating#volumes",
    "network": "operating#networks",
    "service": "operating#services",
    "new_service": "operating#services",
    "edit_service": "operating#services",
    "scale_service": "operating#services",
    "delete_service": "operating#services",
    "terminal": "operating#logs-and-terminals",
    "service_log": "operating#logs-and-terminals",
    "load_balancer": "operating#the-load-balancer",
    "deploy_load_balancer": "operating#the-load-balancer",
    "remove_load_balancer": "operating#the-load-balancer",
    "upload_certificate": "operating#the-load-balancer",
    "snapshot": "operating#snapshots",
    "hold_snapshot": "operating#legal-hold",
    "coverage": "operating#coverage-and-alarms",
    "volume_policy": "operating#coverage-and-alarms",
    "recipients": "operating#coverage-and-alarms",
    "volume_backup": "restoring#with-the-console",
    "company_volume_backups": "restoring#with-the-console",
    "browse_backup": "restoring#with-the-console",
    "restore": "restoring#with-the-console",
    "retention": "operating#what-runs-on-the-repositories",
    "repository": "operating#repositories",
    "change_repository": "operating#repositories",
    "recovery_sheet": "restoring#without-the-console-with-plain-restic",
    "evidence": "evidence#evidence",
    "company_evidence": "evidence#evidence",
    "subscription": "operating#subscriptions",
}


def section_for(page: str) -> str:
    """Return the document, and its section, that helps on a page."""
    fitting = [beginning for beginning in SECTIONS if page.startswith(beginning)]
    return SECTIONS[max(fitting, key=len)] if fitting else OTHERWISE
