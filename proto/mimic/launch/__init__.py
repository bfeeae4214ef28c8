"""The helper services of the launch protocol, which is go-plugin's."""
