"""What every adapter serves before any connection: health, reflection, the manifest."""

import re
from datetime import timedelta

from mimic.adapter.v1 import adapter_pb2, message_pb2

from mimic_plugin_sdk.testing._bench import Bench
from mimic_plugin_sdk.testing._rule import BrokenError, rule
from mimic_plugin_sdk.testing._schema import Schema
from mimic_plugin_sdk.testing._wire import RefusedError

_ADAPTER_SERVICE = "mimic.adapter.v1.AdapterService"
_CHANNEL = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@rule("S1-health", "Health is SERVING for `plugin` and for mimic.adapter.v1.AdapterService")
async def health(bench: Bench) -> None:
    peer = await bench.shared()
    for service in ("plugin", _ADAPTER_SERVICE):
        try:
            seen = await peer.client.health(service)
        except RefusedError as error:
            seen = str(error)
        if seen != "SERVING":
            raise BrokenError(f"SERVING for {service}", seen)


@rule("S2-reflection", "Reflection lists the adapter's service")
async def reflection(bench: Bench) -> str | None:
    peer = await bench.shared()
    seen = ""
    for version in ("v1", "v1alpha"):
        try:
            services = await peer.client.services(version)
        except RefusedError as error:
            seen = str(error)
            continue
        if _ADAPTER_SERVICE in services:
            return f"grpc.reflection.{version}"
        seen = ", ".join(services)
    raise BrokenError(f"{_ADAPTER_SERVICE} among the services", seen)


@rule("S3-manifest", "The manifest names the adapter, its channel and its modes, and stays the same")
async def manifest(bench: Bench) -> str:
    peer = await bench.shared()
    told = peer.manifest
    modes = list(told.modes)
    quiet = told.turn_quiet.ToTimedelta()
    for holds, expected, seen in (
        (told.name and told.name.isprintable(), "a name", told.name),
        (told.version and told.version.isprintable(), "a version", told.version),
        (_CHANNEL.fullmatch(told.channel), "a channel of a-z, 0-9 and hyphens", told.channel),
        ("\n" not in told.description, "one line of description", told.description),
        (modes and 0 not in modes, "a mode, and none unspecified", modes),
        (len(set(modes)) == len(modes), "each mode once", modes),
        (not told.HasField("turn_quiet") or quiet > timedelta(0), "turn_quiet unset or above 0", quiet),
        (await peer.client.manifest() == told, "the same manifest again", "another"),
    ):
        if not holds:
            raise BrokenError(expected, repr(seen))
    names = ", ".join(adapter_pb2.Mode.Name(mode).removeprefix("MODE_").lower() for mode in modes)
    return f"{told.name} {told.version} ({told.channel}: {names})"


@rule("S4-limits", "The manifest's limits make sense; max_unacked_events is at least 1")
async def limits(bench: Bench) -> None:
    can = (await bench.shared()).can
    if can.max_unacked_events < 1:
        raise BrokenError("max_unacked_events of at least 1", str(can.max_unacked_events))
    for name in ("max_text_chars", "max_concurrent_sessions", "max_media_bytes"):
        if getattr(can, name) < 0:
            raise BrokenError(f"{name} of 0 (no limit) or more", str(getattr(can, name)))
    if message_pb2.CHOICE_KIND_UNSPECIFIED in can.choices or len(set(can.choices)) != len(can.choices):
        raise BrokenError("each kind of choice once, and none unspecified", str(list(can.choices)))
    if message_pb2.MEDIA_KIND_UNSPECIFIED in can.media or len(set(can.media)) != len(can.media):
        raise BrokenError("each kind of media once, and none unspecified", str(list(can.media)))


@rule("S5-settings-schema", "settings_schema_json is a JSON Schema (2020-12) of an object")
async def settings_schema(bench: Bench) -> None:
    schema = Schema((await bench.shared()).manifest.settings_schema_json)
    for fault in schema.faults():
        raise BrokenError("a JSON Schema of an object", fault)


@rule("S6-secrets-marked", "Settings that are secrets by their name are marked writeOnly")
async def secrets_marked(bench: Bench) -> None:
    schema = Schema((await bench.shared()).manifest.settings_schema_json)
    if unmarked := schema.unmarked_secrets():
        raise BrokenError('"writeOnly": true', f"none at {', '.join(unmarked)}")
