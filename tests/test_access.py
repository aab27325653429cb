"""Who may do what: every address of the console, for every role, by one table."""

import pytest

from medstack.models import Company, User
from tests.belongings import Belongings, addresses, asked, belongings

Row = tuple[int, int, int, int, int]
ROLES = ("owner", "operator", "auditor", "stranger", "anonymous")
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

READ, FORM, BUTTON = (MEMBERS, NEVER), (OPERATORS, REFUSED), (NEVER, DONE)
REFUSED_BUTTON, CONFIRM = (NEVER, REFUSED), (OPERATORS, DONE)
# name of the address: what GET gets, what an empty POST gets
STATED: dict[str, tuple[Row, Row]] = {
    "health": ((200, 200, 200, 200, 200), (405, 405, 405, 405, 405)),
    "sign_in": ((302, 302, 302, 302, 200), (302, 302, 302, 302, 422)),
    "sign_out": ((405, 405, 405, 405, 405), (302, 302, 302, 302, 302)),
    "change_password": (OWN_LIST, OWN_FORM),
    "operations": (OWN_LIST, NEVER),
    "operation": READ,
    "events": (OWN_LIST, NEVER),
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
}


@pytest.fixture
def ours(company: Company, owner: User) -> Belongings:
    return belongings(company, "ours", owner)


@pytest.fixture
def people(owner: User, operator: User, auditor: User, stranger: User) -> dict[str, User | None]:
    return dict(zip(ROLES, (owner, operator, auditor, stranger, None), strict=True))


def test_every_address_has_a_stated_expectation() -> None:
    found = dict(addresses())
    assert "" not in found, "An address without a name cannot be walked."
    assert set(found) == set(STATED)


def test_every_role_gets_what_is_stated_at_every_address(
    ours: Belongings, people: dict[str, User | None]
) -> None:
    surprises = []
    for name, rows in STATED.items():
        url = ours.url(name)
        for method, row in zip(("get", "post"), rows, strict=True):
            for role, expected in zip(ROLES, row, strict=True):
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
    accepting = [name for name, (_, post) in STATED.items() if post[0] != 405]
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
