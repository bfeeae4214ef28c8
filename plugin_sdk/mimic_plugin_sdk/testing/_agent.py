"""An agent under test that runs as a process of the kit's."""

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from mimic_plugin_sdk.testing._subject import Received

_START_LIMIT = timedelta(seconds=20)


@dataclass(frozen=True)
class AgentProcess:
    """Starts an agent as a process.

    Its first line on standard output is a JSON object that tells what reaches it, such as
    `{"url": "http://127.0.0.1:8000"}`: `RunningAgent.info`, and the connection settings where nothing else is
    said. With `witness`, each further line is `{"text": ...}`, a message that it received.
    """

    command: Sequence[str]
    """What to run."""
    witness: bool = False
    """True: it writes a line for each message that it received, before it answers it."""
    after_connect: bool = False
    """True: it is started after Connect, with the agent settings of its answer in its environment."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Further environment; it inherits the kit's."""
    cwd: Path | None = None
    """Its working directory. None: the kit's."""

    def start(self, agent_settings: Mapping[str, str]) -> "RunningAgentProcess":
        """Starts it.

        Raises:
            RuntimeError: It ended, or took too long, before it told a JSON object.
        """
        return RunningAgentProcess(self, agent_settings)


class RunningAgentProcess:
    """An agent's process."""

    def __init__(self, spec: AgentProcess, agent_settings: Mapping[str, str]) -> None:
        self._spec = spec
        self._received: list[Received] = []
        self._first_line = ""
        self._told = threading.Event()
        reading, writing = os.pipe()
        self._output = os.fdopen(reading, encoding="utf-8", errors="replace")
        self._process = subprocess.Popen(
            spec.command,
            stdin=subprocess.DEVNULL,
            stdout=writing,
            env={**os.environ, **spec.env, **agent_settings},
            cwd=spec.cwd,
            process_group=0,
        )
        os.close(writing)
        # Daemon: a grandchild that holds the pipe must not hold up the kit's end.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.info: Mapping[str, Any] = self._wait_for_info()

    def _read(self) -> None:
        self._first_line = self._output.readline()
        self._told.set()
        for line in self._output:
            if self._spec.witness:
                self._received.append(parse_witness(line))

    def _wait_for_info(self) -> Mapping[str, Any]:
        self._told.wait(_START_LIMIT.total_seconds())
        try:
            info = json.loads(self._first_line)
        except ValueError:
            info = None
        if not isinstance(info, dict):
            # Its own exit code says more than that of a kill.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1)
            self.kill()
            raise RuntimeError(  # noqa: TRY004 - it is what the process did that is wrong
                f"the agent {' '.join(self._spec.command)!r} told no JSON object on its first line within "
                f"{_START_LIMIT.total_seconds():.0f} s, but {self._first_line!r} (exit code "
                f"{self._process.returncode}): run it by hand, it has to print how to reach it"
            )
        return info

    def received(self) -> Sequence[Received] | None:
        """Everything that it received; None where it was not asked to tell."""
        return tuple(self._received) if self._spec.witness else None

    def kill(self) -> None:
        """Ends it as a crash would."""
        self._process.kill()
        self._process.wait()
        self._reader.join(1)
        if not self._reader.is_alive():
            self._output.close()


def parse_witness(line: str) -> Received:
    """Reads one line of a witness: `{"text": ...}`; any other line is a text as it stands."""
    try:
        fields = json.loads(line)
    except ValueError:
        fields = None
    text = fields.get("text") if isinstance(fields, dict) else None
    return Received(text=text if isinstance(text, str) else line)
