"""`python -m mimic_server` is the `mimic` command."""

import os


def main() -> None:
    """Runs the command line."""
    # gRPC's core writes of its own accord to standard error, in its own words; ours say what happened.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from mimic_server.cli.main import main as run  # noqa: PLC0415 - the variable is read at the import

    run()


if __name__ == "__main__":
    main()
