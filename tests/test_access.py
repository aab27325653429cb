"""Who may do what: every address of the console, for every role, by one table."""

import pytest

from medstack.models import Company, Membership, User
from tests.belongings import Belongings, addresses, asked, belongings
from tests.conftest import person

Row = tuple[int, int, int, int, int]
ROLES = ("owner", "operator", "auditor", "stranger", "anonymous", "billing")
# Not a status: the way to the sign-in page, with the way back.
IN = 0
# What each gets:  owner, operator, auditor, stranger, anonymous.
MEMBERS: Row = (200, 200, 200, 404, IN)
OPERATORS: Row = (200, 200, 404, 404, IN)
OWN_LIST: Row = (200, 200, 200, 200, IN)
NEVER: Row = (405, 405, 405, 405, IN)
# An empty form is refused where a person may send it; others do not get so far.
REFUSED: Row = (422, 422, 404, 404, IN)
DONE: Row = (302, 302, 404, 404, IN)
LED_ON: Row = (302, 302, 302, 404, IN)
OWN_FORM: Row = (422, 422, 422, 422, IN)
OWN_LEADS_ON: Row = (302, 302, 302, 302, IN)
# Anonymous visitors are led to the sign-in page by the library's own way.
LIBRARY: Row = (200, 200, 200, 200, 302)
LEADS_ON: Row = (302, 302, 302, 302, 302)
OWNERS: Row = (200, 404, 404, 200, IN)
ABSENT: Row = (404, 404, 404, 404, IN)
NOT_THEIRS: Row = (404, 404, 404, 404, 302)
NOBODY: Row = (404, 404, 404, 404, 404)
TOKENS_ONLY: Row = (401, 401, 401, 401, 401)
EVERYBODY_NEVER: Row = (405, 405, 405, 405, 405)
API_READ = (
    "api:cluster",
    "api:nodes",
    "api:services",
    "api:service",
    "api:snapshot",
    "api:snapshot_volumes",
    "api:restores",
    "api:restore",
    "api:clusters",
    "api:operation",
)
# Two names of one address: what lists, and what adds.
API_BOTH = (
    "api:secrets",
    "api:create_secret",
    "api:snapshots",
    "api:snapshot_now",
    "api:reports",
    "api:company_report",
)
API_WRITE = ("api:refresh", "api:restore_volume", "api:cluster_report")

READ, FORM, BUTTON = (MEMBERS, NEVER), (OPERATORS, REFUSED), (NEVER, DONE)
REFUSED_BUTTON, CONFIRM = (NEVER, REFUSED), (OPERATORS, DONE)
# name of the address: what GET gets, what an empty POST gets
STATED: dict[str, tuple[Row, Row]] = {
    "health": ((200, 200, 200, 200, 200), (405, 405, 405, 405, 405)),
    # The documents are everybody's, and say nothing about anybody.
    "help_contents": ((200, 200, 200, 200, 200), (405, 405, 405, 405, 405)),
    "help": ((200, 200, 200, 200, 200), (405, 405, 405, 405, 405)),
    "asset": ((404, 404, 404, 404, 404), (405, 405, 405, 405, 405)),
    "account_login": ((302, 302, 302, 302, 200), (302, 302, 302, 302, 422)),
    "sign_out": ((405, 405, 405, 405, 405), (302, 302, 302, 302, 302)),
    "change_password": (OWN_LIST, OWN_FORM),
    "operations": (OWN_LIST, NEVER),
    "running_operations": (OWN_LEADS_ON, NEVER),
    "operation": READ,
    "events": (OWN_LIST, NEVER),
    "export_events": (NEVER, MEMBERS),
    "dashboard": (OWN_LIST, NEVER),
    "clusters": (OWN_LIST, NEVER),
    "new_cluster": (OWN_LIST, OWN_FORM),
    "cluster": READ,
    "new_node": (OPERATORS, NEVER),
    "new_local_node": FORM,
    "attach_node": FORM,
    "node": READ,
    "node_role": REFUSED_BUTTON,
    "node_availability": REFUSED_BUTTON,
    # No labels at all is a wish, too.
    "node_labels": CONFIRM,
    "remove_node": FORM,
    "manage_docker": (LED_ON, NEVER),
    "registries": READ,
    "new_registry": FORM,
    # One that lets everybody in needs no credentials.
    "registry": (MEMBERS, DONE),
    "test_registry": BUTTON,
    "delete_registry": CONFIRM,
    "configs": READ,
    "new_config": FORM,
    "config": READ,
    "rotate_config": FORM,
    "delete_config": CONFIRM,
    "secrets": READ,
    "new_secret": FORM,
    "secret": READ,
    "rotate_secret": FORM,
    "delete_secret": CONFIRM,
    "volumes": READ,
    "new_volume": FORM,
    "volume": READ,
    "delete_volume": FORM,
    "services": READ,
    "new_service": FORM,
    "service": READ,
    "edit_service": FORM,
    "scale_service": FORM,
    "restart_service": BUTTON,
    "refresh_service": BUTTON,
    # There is no earlier version to return to, and no drift to decide about.
    "roll_back_service": REFUSED_BUTTON,
    "service_drift": REFUSED_BUTTON,
    "delete_service": FORM,
    "service_logs": READ,
    "service_log_stream": READ,
    "terminal": (OPERATORS, NEVER),
    "load_balancer": READ,
    "deploy_load_balancer": FORM,
    # There is none to remove, and the page about it says so.
    "remove_load_balancer": (DONE, DONE),
    "check_domains": BUTTON,
    "upload_certificate": FORM,
    "networks": READ,
    "snapshots": READ,
    # The repository is not ready: the list says so.
    "snapshot_now": BUTTON,
    "snapshot": READ,
    "snapshot_manifest": (OPERATORS, NEVER),
    "hold_snapshot": ((200, 404, 404, 404, IN), (422, 404, 404, 404, IN)),
    "coverage": READ,
    "volume_policy": CONFIRM,
    "recipients": CONFIRM,
    "volume_backup": READ,
    "browse_backup": (OPERATORS, NEVER),
    "download_file": (NEVER, (404, 404, 404, 404, IN)),
    "restore_volume": FORM,
    "drill": BUTTON,
    "restore_environment": FORM,
    # The restored volume has no report of an environment.
    "restore_report": (ABSENT, NEVER),
    "restores": READ,
    "restore": READ,
    "retention": READ,
    "purge_now": (NEVER, (302, 404, 404, 404, IN)),
    "check_repository": BUTTON,
    "repository": READ,
    "test_repository": BUTTON,
    "change_repository": ((200, 404, 404, 404, IN), (422, 404, 404, 404, IN)),
    # It is not ready in this cluster.
    "recovery_sheet": ((404, 404, 404, 404, IN), (404, 404, 404, 404, IN)),
    "new_password": ((404, 404, 404, 404, IN), (404, 404, 404, 404, IN)),
    "cancel_operation": BUTTON,
    "subscription": (OWNERS, NEVER),
    # Nothing was deleted.
    "certificate": (ABSENT, NEVER),
    "volume_backups": READ,
    # A report without a window is refused; whoever may read may download one.
    "evidence": (MEMBERS, (422, 422, 422, 404, IN)),
    "company_evidence": (OWN_LIST, OWN_FORM),
    "evidence_key": (OWN_LIST, NEVER),
    "company_volume_backups": (OWN_LIST, NEVER),
    # The pages of one's own account are everybody's own.
    "account_reauthenticate": (OWN_LIST, OWN_LIST),
    "mfa_index": (OWN_LIST, NEVER),
    "mfa_activate_totp": (LEADS_ON, LEADS_ON),
    # The last factor stays with those who may not work without one.
    "mfa_deactivate_totp": (OWN_LIST, (200, 200, 302, 200, IN)),
    "mfa_authenticate": (LEADS_ON, LEADS_ON),
    "mfa_reauthenticate": (OWN_LIST, OWN_LIST),
    "mfa_generate_recovery_codes": (LIBRARY, LEADS_ON),
    "mfa_view_recovery_codes": (ABSENT, NEVER),
    "mfa_download_recovery_codes": (ABSENT, ABSENT),
    "mfa_add_webauthn": (LIBRARY, LIBRARY),
    "mfa_list_webauthn": (OWN_LIST, NEVER),
    "mfa_edit_webauthn": (NOT_THEIRS, NOT_THEIRS),
    "mfa_remove_webauthn": (NOT_THEIRS, NOT_THEIRS),
    "mfa_login_webauthn": (LEADS_ON, LEADS_ON),
    "mfa_reauthenticate_webauthn": (OWN_LEADS_ON, OWN_LEADS_ON),
    "usersessions_list": (OWN_LIST, OWN_LEADS_ON),
    # Other companies' Owners see their own people there.
    "members": (OWNERS, NEVER),
    "invite": (OWNERS, (422, 404, 404, 422, IN)),
    "change_member": (NEVER, (302, 404, 404, 404, IN)),
    "revoke_invitation": (NEVER, (302, 404, 404, 404, IN)),
    # The link is the key; nobody here holds one that works.
    "accept_invitation": ((404, 404, 404, 404, 404), (404, 404, 404, 404, 404)),
    # An Owner takes back any token of the company, others their own; this one is the Owner's.
    "tokens": (OWN_LIST, NEVER),
    "new_token": (OWN_LIST, OWN_FORM),
    "revoke_token": (NEVER, (302, 404, 404, 404, IN)),
    # A session opens nothing to programs; tests/test_api_access.py has what tokens open.
    "metrics": (TOKENS_ONLY, EVERYBODY_NEVER),
    **dict.fromkeys(API_READ, (TOKENS_ONLY, EVERYBODY_NEVER)),
    **dict.fromkeys(API_BOTH, (TOKENS_ONLY, TOKENS_ONLY)),
    **dict.fromkeys(API_WRITE, (EVERYBODY_NEVER, TOKENS_ONLY)),
    # Neither POST nor GET, but PUT.
    "api:rotate_secret": (EVERYBODY_NEVER, EVERYBODY_NEVER),
    # It describes the addresses and holds nothing of anybody.
    "api:openapi-json": ((200, 200, 200, 200, 200), EVERYBODY_NEVER),
    "api:api-root": (NOBODY, NOBODY),
    "unknown_address": (NOBODY, NOBODY),
}


# Where those who only see the subscription get what another role gets.
BILLING = {
    "mfa_deactivate_totp": ROLES.index("auditor"),
    "subscription": ROLES.index("owner"),
}


@pytest.fixture
def ours(company: Company, owner: User) -> Belongings:
    return belongings(company, "ours", owner)


@pytest.fixture
def people(
    owner: User, operator: User, auditor: User, stranger: User, company: Company
) -> dict[str, User | None]:
    billing = person("bill@northside.example", company, Membership.Role.BILLING)
    return dict(zip(ROLES, (owner, operator, auditor, stranger, None, billing), strict=True))


def of_billing(name: str, row: Row) -> int:
    """Return what somebody gets who only sees the subscription: of the company, nothing else."""
    if name in BILLING:
        return row[BILLING[name]]
    return row[2] if row[2] == row[3] else 404


def test_every_address_has_a_stated_expectation() -> None:
    found = dict(addresses())
    assert "" not in found, "An address without a name cannot be walked."
    assert set(found) == set(STATED)


@pytest.mark.parametrize("role", ROLES)
def test_every_role_gets_what_is_stated_at_every_address(
    role: str, ours: Belongings, people: dict[str, User | None]
) -> None:
    surprises = []
    for name, rows in STATED.items():
        url = ours.url(name)
        for method, row in zip(("get", "post"), rows, strict=True):
            expected = of_billing(name, row) if role == "billing" else row[ROLES.index(role)]
            answer = asked(people[role], method, url)
            status = answer.status_code
            if status == 302 and answer.headers["Location"] == f"/sign-in/?next={url}":
                status = IN
            if status != expected:
                surprises.append(f"{role} {method} {url}: {status}, not {expected}")
    assert not surprises, "\n".join(surprises)


def test_no_page_takes_what_another_site_made_the_browser_send(
    ours: Belongings, owner: User
) -> None:
    # No browser can be made to send what only programs have: a token in a header.
    pages = {k: v for k, v in STATED.items() if not k.startswith("api:") and k != "unknown_address"}
    accepting = [name for name, (_, post) in pages.items() if post[0] != 405]
    assert len(accepting) > 20
    forged = {
        name: asked(owner, "post", ours.url(name), enforce_csrf=True).status_code
        for name in accepting
    }
    assert set(forged.values()) == {403}, forged


def test_pages_offer_an_auditor_nothing_that_the_server_would_refuse(
    ours: Belongings, auditor: User
) -> None:
    offered = []
    for name, (get, _) in STATED.items():
        if get[2] != 200 or name == "service_log_stream":
            continue
        page = asked(auditor, "get", ours.url(name)).content.decode()
        for other, (other_get, other_post) in STATED.items():
            url = ours.url(other)
            if other_get[2] == 404 and f'href="{url}"' in page:
                offered.append(f"{name} links to {other}")
            if other_post[2] == 404 and other != name and f'action="{url}"' in page:
                offered.append(f"{name} has a button for {other}")
    assert offered == []
