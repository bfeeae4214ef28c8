"""Runs the example agent: `python -m examples.support_agent`, or this file by its path."""

import sys
from pathlib import Path

if not __package__:
    # Started by its path: the package is not importable by name until the root of the tree is.
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from examples.support_agent.server import main

if __name__ == "__main__":
    main()
