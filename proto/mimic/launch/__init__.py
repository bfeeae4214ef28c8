"""The launch protocol, which is go-plugin's: its services, and what host and adapter know each other by."""

COOKIE_VARIABLE = "MIMIC_ADAPTER_COOKIE"
"""Environment variable by which an adapter knows that a host starts it, and not a person by hand."""

COOKIE = "0c2b7a6e-6a2f-4ac1-9f2e-3b0f6b1f5d5e"
"""Its value. A courtesy to people, not a secret."""

CONTRACT_VERSION = 1
"""Version of `mimic.adapter` that the handshake names, as in `mimic.adapter.v1`."""
