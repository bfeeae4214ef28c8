"""The command `mimic-adapter-rest`."""

from mimic_plugin_sdk import serve

from mimic_adapter_rest.adapter import RestAdapter


def main() -> None:
    """Serve until the host ends it."""
    serve(RestAdapter)


if __name__ == "__main__":
    main()
