"""Every page asks at most 15 queries, and stays within twice its time on 1/100 of the rows.

Two databases on one private PostgreSQL (`benchmarks.large.seed`, scale 1 and 0.01), two processes
that serve the console from them and take turns, request by request. Every page is asked for, with
an object from the middle of the data, and every list in each of its orders, at its end, searched
and filtered. A page that is over is asked three times as often, and then that counts. Beside it are
printed Django admin's own change lists of the same rows, and with which indexes each page reads
the large tables.

`--folder DIRECTORY` keeps the databases for the next time; `--only WORDS` takes some pages.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.large import plans, postgresql
from benchmarks.large.measured import HEADING, Measured

ROOT = Path(__file__).parent.parent
SCALES = {"small": 0.01, "large": 1.0}
ROUNDS = 20
SUPPORT = "support@example.com"
# Django admin's list, the console's list that shows the same rows.
COMPARED = {
    "medstack/event": "events (all companies) ",
    "medstack/operation": "operations (all companies) ",
    "backups/volumebackup": "company_volume_backups (all companies) ",
    "backups/snapshot": "snapshots",
    "clusters/cluster": "clusters (all companies) ",
    "clusters/node": "cluster",
    "clusters/service": "services",
}
Json = dict[str, Any]


class Console:
    """A process that serves one database's pages."""

    def __init__(self, environment: dict[str, str]) -> None:
        command = [sys.executable, "-m", "benchmarks.large.visits"]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def ask(self, **what: object) -> Any:
        """Return the answer to one question."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def end(self) -> None:
        """End it."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(30)


def main() -> int:
    """Measure everything; return how many pages are not as promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    with ExitStack() as stack:
        folder = asked.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        environments = stack.enter_context(databases(folder))
        measured = console(environments, asked.only, asked.rounds)
        explained(environments, asked.only)
        admin(environments, {one.name: one for one in measured})
    broken = [one for one in measured if one.faults]
    over = [one.ratio for one in measured]
    print(
        f"{len(measured)} pages; the median ratio is {median(over):.2f}, the worst {max(over):.2f}"
    )
    for one in broken:
        print(f"NOT KEPT: {one}")
    return len(broken)


@contextmanager
def databases(folder: Path) -> Iterator[dict[str, dict[str, str]]]:
    """Start the server and fill its databases; give each one's environment."""
    postgresql.with_keys(postgresql.opened(folder) / "state")
    plain = dict(os.environ)
    with postgresql.running(folder / "postgresql") as server:
        environments = {name: plain | {"DATABASE_URL": server.url(name)} for name in SCALES}

        def run(*words: str, of: str = "small") -> None:
            command = [sys.executable, *words]
            subprocess.run(command, cwd=ROOT, env=environments[of], check=True)

        run("manage.py", "collectstatic", "--noinput", "--verbosity=0")
        for name, scale in SCALES.items():
            if server.create(name):
                print(f"Rows at scale {scale:g}:")
                run("-m", "benchmarks.large.seed", "--scale", str(scale), of=name)
            # One that was kept may be older than the newest migration.
            run("manage.py", "migrate", "--verbosity=0", of=name)
        yield environments


@contextmanager
def consoles(environments: dict[str, dict[str, str]], settings: str) -> Iterator[list[Console]]:
    """Start a console of each database."""
    more = {"DJANGO_SETTINGS_MODULE": settings}
    both = [Console(environments[name] | more) for name in SCALES]
    try:
        yield both
    finally:
        for one in both:
            one.end()


def console(environments: dict[str, dict[str, str]], only: str, rounds: int) -> list[Measured]:
    """Measure the console's own pages."""
    with consoles(environments, "medstack.settings") as both:
        small, large = ({page["page"]: page for page in one.ask(pages=True)} for one in both)
        print(HEADING)
        found = []
        for name, page in large.items():
            if name not in small or not all(word in name for word in only.split()):
                continue
            one = measure(name, both, (small[name], page), rounds)
            if one.too_slow:
                one = measure(name, both, (small[name], page), 3 * rounds)
            print(one, flush=True)
            found.append(one)
        print(f"Only in one of the two: {sorted(small.keys() ^ large.keys()) or 'none'}.")
    return found


def explained(environments: dict[str, dict[str, str]], only: str) -> None:
    """Print with which indexes each page reads the large tables, and how many rows."""
    print("\nHow the pages read the large tables (EXPLAIN ANALYZE, all rows)")
    with consoles(environments, "medstack.settings") as both:
        large = both[-1]
        for page in large.ask(pages=True):
            if all(word in page["page"] for word in only.split()):
                found = large.ask(explain=page["address"], email=page["email"])
                print(*plans.summary(page["page"], found), sep="\n", flush=True)


def admin(environments: dict[str, dict[str, str]], ours: dict[str, Measured]) -> None:
    """Measure Django admin's change lists, and print them beside ours."""
    print("\nDjango admin's change list | the console's list of the same rows")
    with consoles(environments, "benchmarks.large.admin_settings") as both:
        for model, name in COMPARED.items():
            if name not in ours:
                continue
            page = {"address": f"/admin/{model}/", "email": SUPPORT}
            theirs = measure(model, both, (page, page), ROUNDS)
            for which, one in (("admin", theirs), ("console", ours[name])):
                print(f"{which:<8}{one}")
            slower = theirs.large[0] / ours[name].large[0]
            print(f"{'':<8}with all rows, admin takes {slower:.1f} times the console's time")


def measure(name: str, both: Sequence[Console], pages: Sequence[Json], rounds: int) -> Measured:
    """Ask for a page in both databases by turns."""
    times: tuple[list[float], list[float]] = ([], [])
    queries, rows, statuses = [0, 0], [0, 0], set()
    for number in range(rounds + 1):
        for place, (one, page) in enumerate(zip(both, pages, strict=True)):
            answer = one.ask(visit=page["address"], email=page["email"])
            statuses.add(answer["status"])
            rows[place] = answer["rows"]
            if number:
                # The first one fills the caches of both.
                queries[place] = max(queries[place], answer["queries"])
                times[place].append(answer["ms"])
    return Measured.of(name, queries, times, statuses, rows)


if __name__ == "__main__":
    sys.exit(main())
