"""The command `mimic-adapter-websocket`."""

from mimic_plugin_sdk import serve

from mimic_adapter_websocket.adapter import WebSocketAdapter


def main() -> None:
    """Serve until the host ends it."""
    serve(WebSocketAdapter)


if __name__ == "__main__":
    main()
