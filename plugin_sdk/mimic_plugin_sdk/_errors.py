"""Errors that an adapter's author raises, by what the host can do about them."""

from collections.abc import Sequence
from dataclasses import dataclass

from mimic_plugin_sdk._fault import Fault, FaultSource


class AdapterError(Exception):
    """Root of the errors below. Anything else that an adapter raises is a defect of the adapter."""


class FaultError(AdapterError):
    """Ends the call it is raised in with a status that carries the fault.

    Raised from `Adapter.converse`, it ends the session; events emitted before it still reach the host.
    """

    def __init__(self, fault: Fault) -> None:
        """Carry a fault.

        Args:
            fault: What happened and whose it is.
        """
        super().__init__(f"{fault.source.value} fault {fault.reason}: {fault.message}")
        self.fault = fault


class CredentialsRefused(FaultError):  # noqa: N818 - says what happened, as the host shows it
    """The platform refuses the connection's credentials: someone has to change them."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        """Say what was refused.

        Args:
            message: One line: which credential, refused by whom.
            remedy: One line: what to do.
        """
        super().__init__(Fault(FaultSource.CHANNEL, "CREDENTIALS_REFUSED", message, remedy))


class Unreachable(FaultError):  # noqa: N818 - says what happened, as the host shows it
    """The platform or the agent cannot be reached; the same call may succeed later."""

    def __init__(self, message: str, *, remedy: str = "", source: FaultSource = FaultSource.CHANNEL) -> None:
        """Say what could not be reached.

        Args:
            message: One line: which address, and why.
            remedy: One line: what to do.
            source: AGENT when it is the agent itself that is down.
        """
        super().__init__(Fault(source, "UNREACHABLE", message, remedy))


@dataclass(frozen=True, slots=True)
class SettingsViolation:
    """One fault of a connection's settings."""

    field: str
    """Path inside the settings, such as "headers.0.name"; empty: the settings as a whole."""
    description: str
    """One line: what is wrong and what would be right. Never repeats a secret."""


class SettingsError(AdapterError):
    """The settings are well-formed but cannot work; raised from `Adapter.connect`."""

    def __init__(self, violations: Sequence[SettingsViolation]) -> None:
        """Carry the violations.

        Args:
            violations: At least one.

        Raises:
            ValueError: No violation was given.
        """
        if not violations:
            msg = "a SettingsError needs at least one violation"
            raise ValueError(msg)
        super().__init__("; ".join(f"{v.field or 'settings'}: {v.description}" for v in violations))
        self.violations = tuple(violations)
