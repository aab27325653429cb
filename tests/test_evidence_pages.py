"""Pages of evidence: asking for a report, what is handed out, and the list of backups."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from asgiref.sync import async_to_sync
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from backups.evidence import download
from backups.models import EvidenceReport, Repository, Snapshot, VolumeBackup
from clusters.models import Cluster, Node
from medstack.models import Company, Event, User
from tests.catalogues import HOUR, filled, protected
from tests.pages import SignIn

FIRST = datetime(2026, 11, 1, tzinfo=UTC)
NOW = FIRST + timedelta(days=9, hours=12, minutes=30)
MISSED = FIRST + 30 * HOUR
NOVEMBER = {"first": "2026-11-01", "last": "2026-11-09"}
Kinds = pytest.mark.parametrize("form", ["csv", "json", "pdf"])


@pytest.fixture(autouse=True)
def _now() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def repository(cluster: Cluster) -> Repository:
    return protected(cluster, FIRST - timedelta(minutes=10))


@pytest.fixture
def november(cluster: Cluster, node: Node, repository: Repository) -> Cluster:
    states = {MISSED: "missed", MISSED + 5 * HOUR: "partial"}
    filled(cluster, node, repository, first=FIRST, hours=9 * 24 + 13, states=states)
    return cluster


@pytest.fixture
def browser(client_for: SignIn, auditor: User) -> Client:
    return client_for(auditor)


def url(cluster: Cluster, name: str = "evidence") -> str:
    return reverse(name, args=[cluster.slug])


def downloaded(browser: Client, cluster: Cluster, form: str, **typed: str) -> bytes:
    answer = browser.post(url(cluster), NOVEMBER | {"format": form} | typed)
    assert answer.status_code == 200, answer.content.decode()
    return answer.getvalue()


@Kinds
def test_an_auditor_gets_a_report_and_the_download_is_recorded(
    browser: Client, november: Cluster, auditor: User, form: str
) -> None:
    content = downloaded(browser, november, form)
    report = EvidenceReport.objects.get()
    assert report.bytes == len(content)
    assert report.rows == 9 * 24 * 2 - 2
    assert f"sha256={report.sha256}".encode() in content[-300:]
    event = Event.objects.get(action="evidence.downloaded")
    assert (event.actor, event.address) == (auditor, "192.0.2.7")
    assert event.after
    assert event.after["sha256"] == report.sha256
    assert event.after["complete"] is True
    page = browser.get(url(november)).text
    assert report.sha256 in page and auditor.email in page


def test_a_download_that_is_broken_off_is_recorded_as_such(
    browser: Client, november: Cluster
) -> None:
    answer: Any = browser.post(url(november), NOVEMBER | {"format": "csv"})
    next(iter(answer.streaming_content))
    # What a server does when the reader leaves; the test's client keeps its database open.
    answer._resource_closers[-1]()
    report, event = EvidenceReport.objects.get(), Event.objects.get(action="evidence.downloaded")
    assert (report.sha256, report.signature) == ("", "")
    assert event.after and event.after["complete"] is False
    assert "Not downloaded to its end" in browser.get(url(november)).text


def test_a_server_that_does_not_wait_hands_out_piece_by_piece() -> None:
    taken: list[int] = []

    def pieces() -> Any:
        try:
            for number in range(3):
                taken.append(number)
                yield b"x"
        finally:
            taken.append(-1)

    async def first() -> list[int]:
        body: AsyncIterator[bytes] = download.without_waiting(pieces())
        await anext(body)
        seen = list(taken)
        await body.aclose()  # type: ignore[attr-defined]
        return seen

    assert async_to_sync(first)() == [0]
    assert taken == [0, -1]


@pytest.mark.parametrize(
    ("typed", "field", "words"),
    [
        ({"last": "2026-11-11"}, "last", "in the future"),
        ({"first": "2027-01-01", "last": "2027-02-01"}, "first", "in the future"),
        ({"first": "2026-11-05", "last": "2026-11-04"}, "last", "The window is empty"),
        ({"first": "2016-11-09"}, "last", "longer than 10 years"),
        ({"first": "1999-11-09"}, "first", "no backups at that time"),
        ({"first": "soon"}, "first", "valid date"),
        ({"first": ""}, "first", "required"),
        ({"format": "exe"}, "format", "valid choice"),
    ],
)
def test_a_wrong_window_is_refused_at_its_field(
    browser: Client, november: Cluster, typed: dict[str, str], field: str, words: str
) -> None:
    answer = browser.post(url(november), NOVEMBER | {"format": "csv"} | typed)
    assert answer.status_code == 422
    assert words in str(answer.context["form"].errors[field])
    assert not EvidenceReport.objects.exists()


def test_ten_years_are_not_too_many(browser: Client, november: Cluster) -> None:
    assert downloaded(browser, november, "csv", first="2016-11-10")


def test_the_form_begins_with_the_last_full_month(browser: Client, november: Cluster) -> None:
    page = browser.get(url(november)).text
    assert 'value="2026-10-01"' in page and 'value="2026-10-31"' in page


def test_a_report_of_the_company_covers_all_its_clusters_and_no_other(
    browser: Client, november: Cluster, company: Company
) -> None:
    Cluster.objects.create(company=company, name="Staging", slug="staging")
    elsewhere = Company.objects.create(name="Elsewhere")
    other = Cluster.objects.create(company=elsewhere, name="Foreign", slug="foreign")
    typed = NOVEMBER | {"format": "csv", "covers": f"company-{company.pk}"}
    text = browser.post(reverse("company_evidence"), typed).getvalue().decode()
    assert "\r\ncluster,Production," in text and "\r\ncluster,Staging," in text
    assert "Foreign" not in text
    for covers in (f"cluster-{other.pk}", f"company-{elsewhere.pk}", ""):
        answer = browser.post(reverse("company_evidence"), typed | {"covers": covers})
        assert answer.status_code == 422
    assert EvidenceReport.objects.get().cluster is None


def test_the_public_key_can_be_downloaded_and_the_private_one_not(browser: Client) -> None:
    answer = browser.get(reverse("evidence_key"))
    assert answer.text.startswith("-----BEGIN PUBLIC KEY-----")
    assert "PRIVATE" not in answer.text


def test_without_its_key_the_page_says_how_to_make_it(
    browser: Client, november: Cluster, settings: Any, tmp_path: Any
) -> None:
    settings.SIGNING_KEY_FILE = tmp_path / "none"
    assert "init_keys" in browser.get(url(november)).text
    assert browser.post(url(november), NOVEMBER | {"format": "csv"}).status_code == 422
    assert browser.get(reverse("evidence_key")).status_code == 503


def test_the_calendar_names_each_hour(browser: Client, november: Cluster) -> None:
    page = browser.get(url(november)).text
    assert page.count('class="hour-') == 30 * 24 + 6
    assert "<title>2026-11-02 06:00 UTC: Missed</title>" in page
    assert "<title>2026-11-02 11:00 UTC: Partial</title>" in page
    assert "227 complete, 1 partial, 1 missed" in page
    assert "Sizes over time" in page


def listed(browser: Client, cluster: Cluster, **query: str) -> list[VolumeBackup]:
    answer = browser.get(url(cluster, "volume_backups"), query)
    assert answer.status_code == 200
    return [row["backup"] for row in answer.context["listing"].page.object_list]


def test_the_newest_backups_come_first(browser: Client, november: Cluster) -> None:
    found = listed(browser, november)
    assert len(found) == 50
    assert found[0].due == FIRST + (9 * 24 + 12) * HOUR
    oldest = listed(browser, november, sort="due")
    assert oldest[0].due == FIRST


def test_backups_are_filtered_by_day_volume_state_and_level(
    browser: Client, november: Cluster
) -> None:
    VolumeBackup.objects.filter(due=FIRST).update(checked_at=NOW)
    VolumeBackup.objects.filter(due=FIRST + HOUR).update(checked_at=NOW, drilled="passed")
    VolumeBackup.objects.filter(due=FIRST + 2 * HOUR).update(checked_at=NOW, check_error="gone")
    VolumeBackup.objects.filter(due=FIRST + 3 * HOUR).update(suspicion="Half of it is gone.")
    day = {"from": "2026-11-01", "to": "2026-11-01"}
    assert len(listed(browser, november, **day)) == 48
    assert len(listed(browser, november, volume="images", **day)) == 24
    assert len(listed(browser, november, q="data", **day)) == 24
    (failed,) = listed(browser, november, state="failed")
    assert failed.due == MISSED + 5 * HOUR
    for at, level in enumerate(("checked", "drilled", "failed", "recorded")):
        found = listed(browser, november, verification=level)
        assert {row.due for row in found} == {FIRST + at * HOUR}
        assert {row.verification for row in found} == {level}
    assert {row.verification for row in listed(browser, november, verification="plausible")} == {
        "plausible"
    }


def test_purged_backups_are_listed_with_reason_and_time(browser: Client, november: Cluster) -> None:
    VolumeBackup.objects.filter(due=FIRST).update(purged_at=NOW, purge_reason="Not final <today>.")
    assert {row.due for row in listed(browser, november, purged="yes")} == {FIRST}
    assert FIRST not in {row.due for row in listed(browser, november, purged="no", sort="due")}
    page = browser.get(url(november, "volume_backups"), {"sort": "due"}).text
    assert "Purged 2026-11-10 12:30" in page and "Not final &lt;today&gt;." in page


def test_the_list_says_which_rule_keeps_a_backup(browser: Client, november: Cluster) -> None:
    found = listed(browser, november, tier="hourly")
    assert {row.due for row in found} == {
        FIRST + hours * HOUR for hours in range(8 * 24 + 13, 9 * 24 + 13)
    }
    Snapshot.objects.filter(due=FIRST).update(hold_reason="A lawsuit.")
    assert {row.due for row in listed(browser, november, tier="hold")} == {FIRST}


def test_a_wrong_day_is_refused_at_its_field(browser: Client, november: Cluster) -> None:
    for query in (
        {"from": "soon"},
        {"from": "2026-11-05", "to": "2026-11-01"},
        {"to": "9999-12-31"},
    ):
        answer = browser.get(url(november, "volume_backups"), query)
        assert answer.status_code == 422
        assert 'role="alert"' in answer.text


def test_a_page_of_many_rows_takes_few_queries(
    browser: Client,
    november: Cluster,
    company: Company,
    node: Node,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(20):
        Cluster.objects.create(company=company, name=f"c{number}", slug=f"c{number}")
    for address in (
        url(november),
        url(november, "volume_backups"),
        reverse("company_evidence"),
        reverse("company_volume_backups"),
    ):
        with django_assert_max_num_queries(15):
            assert browser.get(address).status_code == 200


def test_a_list_that_is_too_long_to_count_says_so(
    browser: Client, november: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backups.views.backup_list.COUNTED", 120)
    page = browser.get(url(november, "volume_backups"), {"page": "99"})
    assert "More than 120" in page.text
    assert page.context["listing"].page.number == 3


def test_the_company_list_shows_one_cluster_or_all(
    browser: Client, november: Cluster, company: Company, client_for: SignIn, stranger: User
) -> None:
    Cluster.objects.create(company=company, name="Staging", slug="staging")
    address = reverse("company_volume_backups")
    assert len(browser.get(address, {"cluster": "production"}).context["listing"].page) == 50
    assert len(browser.get(address, {"cluster": "staging"}).context["listing"].page) == 0
    assert len(client_for(stranger).get(address).context["listing"].page) == 0
