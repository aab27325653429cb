"""Fail if tests were skipped or expected to fail: `skipped.py RESULTS.xml …`."""

import sys
from xml.etree import ElementTree


def skipped(path: str) -> list[str]:
    """Return the tests of a JUnit report that did not really run, and why."""
    return [
        f"{case.get('classname')}::{case.get('name')}: {reason.get('message')}"
        for case in ElementTree.parse(path).iter("testcase")
        for reason in case.iter("skipped")
    ]


if __name__ == "__main__":
    found = [line for path in sys.argv[1:] for line in skipped(path)]
    print("\n".join(["Not run:", *found]) if found else "No test was skipped.")
    sys.exit(1 if found else 0)
