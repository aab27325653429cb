"""The API keeps what its description promises, whatever programs send."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.cache import cache
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    ignored_auth,
    negative_data_rejection,
    positive_data_acceptance,
)

from medstack.models import Company, User
from tests.belongings import Belongings, belongings
from tests.programs import token_of

pytestmark = pytest.mark.on_postgresql

# A form knows more than a description can say: which names Docker takes. A parameter that nobody
# knows does no harm. And here all requests carry a valid token: tests/test_api_access.py shows that
# nobody gets in without one.
ELSEWHERE = [positive_data_acceptance, negative_data_rejection, ignored_auth]
# The same requests each time; there are so many that each kind of mistake is among them.
THOROUGH = settings(
    max_examples=8,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def ours(company: Company, owner: User) -> Belongings:
    cache.clear()
    return belongings(company, "ours", owner)


@pytest.fixture
def one_connection() -> Iterator[None]:
    """Let the console answer within the test's transaction, as Django's own client does."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def existing(ours: Belongings, path: str) -> dict[str, Any]:
    """Return what stands in a path for something that there is."""
    found: dict[str, Any] = {"slug": ours.cluster.slug, "pk": ours.backup.snapshot.pk}
    found["name"] = ours.secret.name if "/secrets/" in path else ours.service.name
    if "volume-backups" in path:
        found["pk"] = ours.backup.pk
    if "/restores/" in path:
        found["pk"] = ours.restore.pk
    if "/operations/" in path:
        found["pk"] = ours.operation.pk
    return found


def answered(case: Any, token: str, ours: Belongings) -> set[int]:
    """Send what was made up, also to something that there is; check and undo each answer."""
    there = existing(ours, case.path)
    statuses = set()
    for path in (dict(case.path_parameters), {key: there[key] for key in case.path_parameters}):
        case.path_parameters.update(path)
        with transaction.atomic():
            answer = case.call(headers={"Authorization": f"Bearer {token}"})
            transaction.set_rollback(True)
        statuses.add(answer.status_code)
        case.validate_response(answer, excluded_checks=ELSEWHERE)
    return statuses


def test_every_answer_is_one_that_the_description_names(
    ours: Belongings, owner: User, settings: pytest.FixtureRequest, one_connection: None
) -> None:
    settings.API_CALLS = 1_000_000  # type: ignore[attr-defined]
    token = token_of(owner)
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", get_wsgi_application())
    found: dict[str, set[int]] = {}

    def ask(case: Any) -> None:
        found.setdefault(case.operation.label, set()).update(answered(case, token, ours))

    for described in schema.get_all_operations():
        operation: Any = described
        for mode in GenerationMode:
            cases = operation.ok().as_strategy(generation_mode=mode)
            THOROUGH(given(case=cases)(ask))()
    assert len(found) == 20
    # They got beyond the door.
    assert all(statuses & {200, 202, 409, 422} for statuses in found.values()), found
