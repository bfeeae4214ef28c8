"""`python -m mimic_server` is the `mimic` command."""

from mimic_server.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
