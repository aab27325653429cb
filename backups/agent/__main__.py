"""Start the agent: `serve` takes a snapshot every hour, `job` does one thing and ends."""

import sys

from backups.agent import hourly, stopping, work


def main(arguments: list[str]) -> int:
    """Run one of the programs; return its exit code."""
    stopping.listen()
    try:
        match arguments:
            case ["serve"]:
                return hourly.serve()
            case ["job"]:
                return work.main(sys.stdin.buffer)
            case ["secrets"]:
                return work.secrets()
            case _:
                print(__doc__)  # noqa: T201 - a program's own words
                return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
