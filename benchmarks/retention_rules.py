"""The rules of retention decide about 100,000 snapshots in less than a second."""

import sys
import time
from datetime import UTC, datetime, timedelta

from backups.retention import reasons_to_keep

COUNT, LIMIT = 100_000, 1.0


def main() -> int:
    """Decide, print the time, and say whether the promise is kept."""
    first = datetime(2014, 1, 1, tzinfo=UTC)
    taken = {number: first + timedelta(hours=number) for number in range(COUNT)}
    began = time.perf_counter()
    kept = reasons_to_keep(taken, now=max(taken.values()) + timedelta(minutes=30))
    seconds = time.perf_counter() - began
    print(f"{COUNT:,} snapshots: {seconds:.2f} s, {len(kept)} kept ({seconds / LIMIT:.2f} of 1 s)")
    return int(seconds >= LIMIT)


if __name__ == "__main__":
    sys.exit(main())
