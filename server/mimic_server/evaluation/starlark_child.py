"""A process that runs scripts, one after the other: `python -m mimic_server.evaluation.starlark_child`.

Frames of JSON, each after its length in four bytes, come on standard input; one answers each on standard
output. Starlark itself has no file, no network, no clock and no chance; the limits here are on time and
memory.
"""

from __future__ import annotations

import contextlib
import json
import math
import resource
import sys
import time
from typing import Any, BinaryIO

import starlark

from mimic_server.evaluation.script_syntax import ENTRY, explained, parse

EXIT_PANIC = 3
MAX_TEXT = 1000
MAX_EVIDENCE = 20
_NOT_FINITE = f"{ENTRY} returned a number that is not finite"

# A float that is not finite comes out of the interpreter as None; within, it can be told from None.
_IS_NONE = f"""
def is_none(transcript):
    returned = {ENTRY}(transcript)
    value = returned["value"] if type(returned) == "dict" else returned
    return value == None
"""
_LIBRARY = [
    starlark.LibraryExtension.StructType,
    starlark.LibraryExtension.Map,
    starlark.LibraryExtension.Filter,
    starlark.LibraryExtension.Json,
]


def main() -> None:
    """Serves until standard input ends. The one argument is the memory limit in bytes."""
    _limit(resource.RLIMIT_AS, int(sys.argv[1]))
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    _write(answers, {"ready": True})
    while (request := _read(requests)) is not None:
        try:
            _write(answers, _answer(request))
        except BaseException as error:
            # What a panic of the interpreter leaves behind cannot be trusted.
            if type(error).__name__ == "PanicException":
                sys.exit(EXIT_PANIC)
            raise


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    cpu_seconds: float = request["cpu_seconds"]
    # The kernel's own limit, for what cannot be cancelled from within.
    used = time.process_time()
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used + cpu_seconds) + 1, resource.RLIM_INFINITY))
    deadline = used + cpu_seconds
    try:
        return _run(request["script"], request["transcript"], deadline)
    except starlark.StarlarkError as error:
        if time.process_time() >= deadline:
            return {"error": f"the script ran for more than {cpu_seconds:g} s"}
        return {"error": explained(error)}
    except (MemoryError, RecursionError) as error:
        return {"error": f"the script ran out of resources ({type(error).__name__})"}
    except (TypeError, ValueError) as error:
        return {"error": str(error)[:MAX_TEXT]}


def _run(source: str, transcript: list[dict[str, Any]], deadline: float) -> dict[str, Any]:
    options = starlark.EvalOptions(check_cancelled=lambda: time.process_time() >= deadline)
    module, library = starlark.Module(), starlark.Globals.extended_by(_LIBRARY)
    starlark.eval_with(options, module, parse(source), library)
    starlark.eval_with(options, module, parse(_IS_NONE), library)
    frozen = module.freeze()
    result = _result(frozen.call_with(options, ENTRY, transcript).value)
    if result["value"] is None and not frozen.call_with(options, "is_none", transcript).value:
        raise ValueError(_NOT_FINITE)
    return result


def _result(returned: object) -> dict[str, Any]:
    value, explanation = returned, ""
    evidence: list[int] = []
    if isinstance(returned, dict):
        if "value" not in returned or set(returned) - {"value", "explanation", "evidence"}:
            raise ValueError(
                "a dict that is returned has value, perhaps explanation and evidence, and no more"
            )
        value = returned["value"]
        explanation, evidence = returned.get("explanation") or "", returned.get("evidence") or []
    if value is not None and not isinstance(value, bool | int | float):
        kind = type(value).__name__
        raise TypeError(f"{ENTRY} returned a {kind}; it returns a number, a bool, None or a dict")
    if not isinstance(explanation, str):
        raise TypeError("explanation is a string")
    if not isinstance(evidence, list) or not all(isinstance(seq, int) for seq in evidence):
        raise TypeError("evidence is a list of seqs")
    if value is not None and not isinstance(value, bool):
        value = _as_float(value)
        if not math.isfinite(value):
            raise ValueError(_NOT_FINITE)
    return {"value": value, "explanation": explanation[:MAX_TEXT], "evidence": evidence[:MAX_EVIDENCE]}


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _read(stream: BinaryIO) -> dict[str, Any] | None:
    head = stream.read(4)
    if len(head) < 4:
        return None
    request: dict[str, Any] = json.loads(stream.read(int.from_bytes(head)))
    return request


def _write(stream: BinaryIO, answer: dict[str, Any]) -> None:
    body = json.dumps(answer).encode()
    stream.write(len(body).to_bytes(4) + body)
    stream.flush()


def _limit(what: int, value: int) -> None:
    # Where the system has no such limit, the others and the parent's deadline remain.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(what, (value, value))


if __name__ == "__main__":
    main()
