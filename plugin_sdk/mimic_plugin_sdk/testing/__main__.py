"""`mimic-adapter-conformance [options] -- <command>`."""

import sys


def main() -> None:
    """Runs the kit."""
    sys.exit("the kit is being built")


if __name__ == "__main__":
    main()
