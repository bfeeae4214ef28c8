"""What adapters printed and said during all other rules; these rules run last."""

import json
import re
from collections.abc import Iterator

from mimic_plugin_sdk.testing._bench import Bench
from mimic_plugin_sdk.testing._rule import BrokenError, NotDeclaredError, NotGivenError, rule
from mimic_plugin_sdk.testing._rules.connections import refused_connect
from mimic_plugin_sdk.testing._schema import Schema

_LEVELS = ("trace", "debug", "info", "warn", "error")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")
_SHORTEST_SECRET = 8


@rule("O1-stdout-quiet", "Nothing but the handshake is printed on stdout", last=True)
async def stdout_quiet(bench: Bench) -> None:
    _launched(bench)
    for process in bench.processes:
        handshake, *further = process.stdout.splitlines() or [""]
        if handshake.count("|") < 4:
            raise BrokenError("the handshake first on stdout", repr(handshake[:200]))
        if further:
            raise BrokenError("nothing on stdout after the handshake", repr(further[0][:200]))


def _launched(bench: Bench) -> None:
    if not bench.processes:
        raise NotGivenError("needs the adapter's command")


@rule(
    "O2-log-lines",
    "Log lines are JSON with strings @level, @message and @timestamp, of six decimals",
    last=True,
)
async def log_lines(bench: Bench) -> str:
    _launched(bench)
    plain = found = 0
    for line in _lines(bench):
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict):
            plain += 1
            continue
        found += 1
        if entry.get("@level") not in _LEVELS:
            raise BrokenError(f"@level of {', '.join(_LEVELS)}", line[:300])
        if not isinstance(entry.get("@message"), str):
            raise BrokenError("a string @message", line[:300])
        if not isinstance(stamp := entry.get("@timestamp"), str) or not _TIMESTAMP.fullmatch(stamp):
            raise BrokenError("an ISO 8601 @timestamp with six decimals and its zone", line[:300])
    return f"{found} lines" + (
        f"; warning: {plain} more are plain text, whose level is guessed" if plain else ""
    )


def _lines(bench: Bench) -> Iterator[str]:
    for process in bench.processes:
        for line in process.stderr.splitlines(keepends=True):
            # A killed process may leave half a line.
            if line.endswith("\n") and line.strip():
                yield line.strip()


@rule(
    "O3-secrets-kept",
    "No secret of the settings is in a log line, a status, a fault or a raw event",
    last=True,
)
async def secrets_kept(bench: Bench) -> str:
    peer = await bench.shared()
    schema = Schema(peer.manifest.settings_schema_json)
    if not schema.has_secrets:
        raise NotDeclaredError("the settings' schema marks no secret")
    secrets = [secret for secret in schema.secrets(peer.settings) if len(secret) >= _SHORTEST_SECRET]
    if not secrets:
        raise NotGivenError(f"needs settings with a secret of at least {_SHORTEST_SECRET} characters")
    for name, value in schema.wrong_values().items():
        await refused_connect(peer, {**peer.settings, name: value}, f"with a wrong {name}")
    said = [("stderr", process.stderr) for process in bench.processes]
    said += [("stdout", process.stdout) for process in bench.processes]
    said += [("what it answered", text) for text in bench.heard]
    for place, text in said:
        for secret in secrets:
            if secret in text or json.dumps(secret)[1:-1] in text:
                [line] = [one for one in text.splitlines() if secret in one][:1] or [text]
                shown = line.replace(secret, "[secret]")
                raise BrokenError(f"no secret in {place}", shown[:300])
    return f"{len(secrets)} secrets looked for"
