"""Operations: whatever happens to workers, each ends, and nothing is done twice."""

import logging
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ

from clusters.models import Cluster
from medstack import operations, tasks
from medstack.failures import Failure, Transient
from medstack.management.commands.clock import queue_tick
from medstack.models import Event, Operation
from medstack.operations import Waiting
from medstack.queue import enqueue
from tests.engines.conftest import run_due
from tests.scripted import WAITING, Killed, Script, Start, fresh, killed_in, starter, time_passes


@pytest.fixture
def start(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Start:
    return starter(cluster, monkeypatch)


def test_an_operation_exists_only_with_what_it_belongs_to(start: Start) -> None:
    with transaction.atomic():
        start(Script())
        transaction.set_rollback(True)
    assert not Operation.objects.exists()
    assert not OrmQ.objects.exists()


def test_an_operation_runs_its_steps_in_order_and_is_done(start: Start) -> None:
    first, second = Script(), Script()
    operation = start(first, second)
    assert fresh(operation).state == "queued"
    assert run_due() == 1
    done = fresh(operation)
    assert (done.state, done.percentage, done.error) == ("done", 100, "")
    assert done.ended_at
    assert (first.runs, second.runs) == (1, 1)
    assert not OrmQ.objects.exists()


def test_a_waiting_step_goes_back_to_the_queue_until_later_and_no_worker_sleeps(
    start: Start,
) -> None:
    step = Script(WAITING)
    operation = start(step)
    before = timezone.now()
    run_due()
    row = OrmQ.objects.get()
    assert row.lock >= before + timedelta(seconds=60)
    assert run_due() == 0, "Nobody takes it before then."
    seen = fresh(operation)
    assert (seen.state, seen.detail, seen.percentage) == ("running", "2 of 3 tasks run.", 50)
    assert "2 of 3 tasks run." in seen.log
    assert step.runs == 1


def test_a_killed_workers_operation_goes_on_at_its_unfinished_step(start: Start) -> None:
    first, second = Script(), Script(Killed(), None)
    operation = start(first, second)
    killed_in(operation)
    assert fresh(operation).state == "running"

    tasks.tick()
    assert run_due() == 0, "The dead worker still holds it."

    time_passes(minutes=1)
    tasks.tick()
    assert run_due() == 1
    assert fresh(operation).state == "done"
    assert (first.runs, second.runs) == (1, 2)


def test_a_task_that_died_with_the_worker_that_had_taken_it_is_queued_again(start: Start) -> None:
    step = Script()
    operation = start(step)
    OrmQ.objects.all().delete()
    time_passes(minutes=1)
    tasks.tick()
    run_due()
    assert (fresh(operation).state, step.runs) == ("done", 1)


def test_duplicates_of_a_task_do_nothing_and_die_out(start: Start) -> None:
    step = Script(WAITING, WAITING, None)
    operation = start(step)
    for runs in (1, 2, 3):
        for _ in range(5):
            enqueue(operations.RUN, operation.pk)
        assert run_due() == 6
        assert step.runs == runs
        assert OrmQ.objects.count() == (1 if runs < 3 else 0)
        time_passes(minutes=2)
    assert fresh(operation).state == "done"
    assert Event.objects.filter(action="operation.done").count() == 1


def test_the_tick_leaves_alone_what_waits_its_turn(start: Start) -> None:
    start(Script(WAITING))
    run_due()
    tasks.tick()
    assert OrmQ.objects.count() == 1


def test_ticks_do_not_pile_up_behind_a_stopped_worker(db: None) -> None:
    for _ in range(5):
        queue_tick()
    assert OrmQ.objects.count() == 1
    OrmQ.objects.update(lock=timezone.now() + timedelta(seconds=150))
    queue_tick()
    assert OrmQ.objects.count() == 2, "The first is taken, perhaps by a worker that is dead."


@pytest.mark.parametrize("answer", [WAITING, Transient("2 of 3 tasks run.")])
def test_the_deadline_ends_it_with_what_was_seen_last(start: Start, answer: object) -> None:
    operation = start(Script(answer))
    run_due()
    assert fresh(operation).state == "running"
    time_passes(minutes=20)
    run_due()
    ended = fresh(operation)
    assert (ended.state, ended.error) == (
        "failed",
        "Gave up waiting. Last seen: 2 of 3 tasks run.",
    )
    assert not OrmQ.objects.exists()


def test_what_comes_true_at_the_last_moment_is_done(start: Start) -> None:
    operation = start(Script(WAITING, None))
    run_due()
    time_passes(minutes=20)
    run_due()
    assert fresh(operation).state == "done"


def test_a_step_that_kills_every_worker_is_given_up_once_its_time_is_over(start: Start) -> None:
    step = Script(Killed())
    operation = start(Script(), step)
    killed_in(operation)
    for _ in range(20):
        time_passes(minutes=1)
        tasks.tick()
        if not fresh(operation).is_active:
            break
        killed_in(operation)
    ended = fresh(operation)
    assert ended.state == "failed"
    assert "the worker died in “Step 2” again and again" in ended.error


def test_an_operation_whose_time_ran_out_while_no_worker_ran_is_still_tried(start: Start) -> None:
    step = Script(Killed(), None)
    operation = start(step)
    killed_in(operation)
    time_passes(minutes=60)
    tasks.tick()
    run_due()
    assert fresh(operation).state == "done"


def test_the_words_of_a_failure_are_for_people_and_end_it(start: Start) -> None:
    operation = start(Script(Failure("No space left on device.")), Script())
    run_due()
    ended = fresh(operation)
    assert (ended.state, ended.error, ended.step) == ("failed", "No space left on device.", 0)


def test_a_mistake_of_ours_ends_it_with_a_plain_reason_and_the_log_has_the_rest(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    operation = start(Script(KeyError("hunter2")))
    with caplog.at_level(logging.ERROR):
        run_due()
    ended = fresh(operation)
    assert ended.state == "failed"
    assert ended.error == "Unexpected error (KeyError); the log has the details."
    assert "hunter2" in caplog.text


def test_a_kind_that_this_version_does_not_know_ends_it(start: Start) -> None:
    operation = start(Script())
    del operations.register.kinds["test.try"]
    run_due()
    assert fresh(operation).error == "This version of the console cannot do “test.try”."


def test_a_failure_is_undone_and_recorded_once(start: Start) -> None:
    undone: list[int] = []
    operation = start(Script(Failure("No.")), on_failure=lambda failed: undone.append(failed.pk))
    run_due()
    tasks.run_operation(operation.pk)
    event = Event.objects.get(action="operation.failed")
    assert event.after == {"kind": "test.try", "error": "No."}
    assert (event.subject_id, event.actor_name) == (operation.pk, "MedStack Control")
    assert event.company == operation.company
    assert undone == [operation.pk]


def test_a_failure_that_cannot_be_undone_still_ends_it(start: Start) -> None:
    def undo(operation: Operation) -> None:
        OrmQ.objects.create(key="half-done", payload="", lock=timezone.now())
        raise ValueError("It broke.")

    operation = start(Script(Failure("No.")), on_failure=undo)
    run_due()
    ended = fresh(operation)
    assert ended.state == "failed"
    assert ended.error.startswith("No. What was begun could not be undone")
    assert not OrmQ.objects.filter(key="half-done").exists(), "Nothing of it is half undone."
    told = Event.objects.get(action="operation.failed").after
    assert told == {"kind": "test.try", "error": ended.error}


@pytest.mark.parametrize("last_word", [None, WAITING, Failure("Too late."), ValueError("Broken.")])
@pytest.mark.parametrize("newer", [None, Waiting("The newer worker waits.", again_in=60)])
def test_an_old_worker_that_lost_its_hold_changes_nothing_of_the_newer_progress(
    start: Start, last_word: object, newer: Waiting | None
) -> None:
    begun: list[Operation] = []

    def slow(operation: Operation) -> Waiting | None:
        begun.append(operation)
        if len(begun) > 1:
            return None
        time_passes(minutes=1)
        operations.advance(operation.pk)
        operation.log += "The old worker was here.\n"
        return Script(last_word)(operation)

    second = Script(newer)
    operation = start(slow, second)
    run_due()
    seen = fresh(operation)
    assert (seen.state, seen.step, second.runs) == (("running", 1, 1) if newer else ("done", 2, 1))
    assert seen.error == ""
    assert "The old worker" not in seen.log
    assert not Event.objects.filter(action="operation.failed").exists()


def test_a_second_operation_where_only_one_may_run_is_refused_kindly(start: Start) -> None:
    first = start(Script(), exclusive="managers:1")
    queued = OrmQ.objects.count()
    with pytest.raises(operations.AlreadyRunning) as refusal:
        start(Script(), exclusive="managers:1")
    assert str(refusal.value) == ("“Try Production” is still running; wait until it has ended.")
    assert (Operation.objects.count(), OrmQ.objects.count()) == (1, queued)
    start(Script(), exclusive="managers:2")
    operations.advance(first.pk)
    assert fresh(first).state == "done"
    start(Script(), exclusive="managers:1")
