"""Puts the server together: the only place where the edges meet."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.metadata
import os
import socket
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Self

import structlog

from mimic_server import log as logs
from mimic_server.config import Settings
from mimic_server.domain.adapters import AdapterLogLine
from mimic_server.domain.errors import InvalidInputError, UnavailableError
from mimic_server.domain.ports import LanguageModel
from mimic_server.host.host import PluginHost
from mimic_server.host.settings import Attached
from mimic_server.llm.factory import build_model
from mimic_server.orchestration.embedded import EmbeddedOrchestrator
from mimic_server.rpc.server import RpcServer, Services
from mimic_server.services.adapters import AdapterService
from mimic_server.services.agents import AgentService
from mimic_server.services.api_keys import ApiKeyService
from mimic_server.services.bootstraps import BootstrapService
from mimic_server.services.clock import utc_now
from mimic_server.services.connections import ConnectionService
from mimic_server.services.credentials import Credentials
from mimic_server.services.evaluations import EvaluationService
from mimic_server.services.feed import Feed
from mimic_server.services.personas import PersonaService
from mimic_server.services.runs import RunService
from mimic_server.services.server import EffectiveSetting, ServerInfo, ServerService
from mimic_server.services.session_runner import SessionRunner
from mimic_server.services.sessions import SessionService
from mimic_server.services.teams import TeamService, ensure_first_team
from mimic_server.storage.directory import DataDirectory
from mimic_server.storage.storage import SqlStorage

ADDRESS_FILE = "address"
KEY_FILE = "admin.key"

log = structlog.get_logger("mimic.server")


@dataclass(frozen=True)
class _Parts:
    """What is let go of at the end, in the order in which it was made."""

    directory: DataDirectory
    storage: SqlStorage
    model: LanguageModel
    host: PluginHost
    orchestrator: EmbeddedOrchestrator
    rpc: RpcServer


class App:
    """A server: API, orchestrator and adapters in one process.

    Attributes:
        address: host:port of gRPC.
        api_key: The first admin key. Empty where it was made elsewhere and its file is gone.
        key_file: Where the first admin key lies. None: nowhere here.
        data_directory: Where data lies.
        model_name: Who plays the personas.
        channels: Channels that an adapter was found for.
    """

    def __init__(self, settings: Settings, parts: _Parts, address: str, api_key: str) -> None:
        self._parts = parts
        self.address = address
        self.api_key = api_key
        self.data_directory = settings.data_directory
        key_file = self.data_directory / KEY_FILE
        self.key_file = key_file if key_file.exists() else None
        self.model_name = parts.model.name
        self.channels = [status.channel for status in parts.host.statuses()]

    @classmethod
    async def start(cls, settings: Settings, *, published: bool = True) -> Self:
        """Starts a server, which takes up what was left.

        Args:
            settings: The settings.
            published: Whether other commands on the data directory find it.

        Raises:
            InvalidInputError: A setting is wrong.
            PreconditionError: The data directory is in use, or the database is of another version.
            UnavailableError: The database cannot be reached, or the port is taken.
        """
        async with contextlib.AsyncExitStack() as undo:
            directory = DataDirectory.open(settings.data_directory)
            undo.callback(directory.close)
            logs.configure(settings.log_level, settings.log_file if settings.log_file != Path() else None)
            storage = await SqlStorage.open(
                settings.database_url or directory.database_url, pool_size=settings.database_pool_size
            )
            undo.push_async_callback(storage.close)
            model = _model(settings)
            undo.push_async_callback(model.close)
            host = PluginHost(
                directories=[Path(path) for path in settings.adapter_path.split(os.pathsep) if path],
                attached=_attached(settings.attach),
                on_log=_log_adapter,
            )
            undo.push_async_callback(host.close)
            api_key = _first_key(directory.path, await ensure_first_team(storage))
            orchestrator = EmbeddedOrchestrator(storage.leases, f"{socket.gethostname()}:{directory.path}")
            services = _services(settings, storage, model, host, orchestrator)
            rpc = await RpcServer.start(services, f"{settings.host}:{settings.port}")
            undo.push_async_callback(rpc.stop)
            await orchestrator.start()
            undo.push_async_callback(orchestrator.stop)
            if published:
                _write_private(directory.path / ADDRESS_FILE, rpc.address)
            undo.pop_all()
        _calm_collector()
        parts = _Parts(directory, storage, model, host, orchestrator, rpc)
        return cls(settings, parts, rpc.address, api_key)

    async def stop(self) -> None:
        """Stops gracefully: new work is refused, what is under way is left to the next start."""
        parts = self._parts
        (self.data_directory / ADDRESS_FILE).unlink(missing_ok=True)
        await parts.rpc.drain()
        await parts.orchestrator.stop()
        await asyncio.gather(parts.rpc.stop(), parts.host.close())
        await parts.model.close()
        await parts.storage.close()
        parts.directory.close()


def _calm_collector() -> None:
    """Lets the collector look less often, and never at what stays: a tenth of a busy server's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _services(
    settings: Settings,
    storage: SqlStorage,
    model: LanguageModel,
    host: PluginHost,
    orchestrator: EmbeddedOrchestrator,
) -> Services:
    feed = Feed()
    runner = SessionRunner(storage, host, model, feed, utc_now)
    sessions = SessionService(storage, orchestrator, runner, model=model, feed=feed, clock=utc_now)
    runs = RunService(storage, orchestrator, model, feed, utc_now)
    bootstraps = BootstrapService(storage, model, orchestrator, feed)
    orchestrator.use(play=runner.execute, bootstrap=bootstraps.execute, run=runs.execute)
    credentials = Credentials(storage)
    info = ServerInfo(
        version=importlib.metadata.version("mimic-server"),
        roles=("api", "worker"),
        model=model.name,
        scripted=model.scripted,
        orchestrator="embedded",
        database="postgresql" if settings.database_url.startswith("postgres") else "sqlite",
        started_at=utc_now(),
    )
    effective = [EffectiveSetting(name, value, source) for name, value, source in settings.effective()]
    return Services(
        credentials=credentials,
        agents=AgentService(storage, host, orchestrator),
        connections=ConnectionService(storage, host),
        bootstraps=bootstraps,
        personas=PersonaService(storage, model),
        evaluations=EvaluationService(storage, model),
        sessions=sessions,
        runs=runs,
        adapters=AdapterService(host),
        teams=TeamService(storage),
        api_keys=ApiKeyService(storage, credentials),
        server=ServerService(storage, info, effective),
    )


def _model(settings: Settings) -> LanguageModel:
    return build_model(
        openai=settings.wants_openai,
        api_key=settings.openai_api_key.get_secret_value(),
        base_url=settings.openai_base_url,
        model=settings.openai_model,
        timeout_seconds=settings.model_timeout_seconds,
        retries=settings.model_retries,
        concurrency=settings.model_concurrency,
        record=settings.record if settings.record != Path() else None,
        replay=settings.replay if settings.replay != Path() else None,
    )


def _attached(text: str) -> dict[str, Attached]:
    """Adapters that others run, from `channel=host:port,...`.

    Raises:
        InvalidInputError: It does not read so.
    """
    attached = {}
    for entry in filter(None, (entry.strip() for entry in text.split(","))):
        channel, equals, address = entry.partition("=")
        if not (channel and equals and ":" in address):
            raise InvalidInputError.of("MIMIC_ATTACH", f"{entry!r} is not channel=host:port")
        attached[channel] = Attached(address)
    return attached


def _first_key(folder: Path, made: str | None) -> str:
    """The first admin key: the one just made, which is kept in a file, or the one in the file."""
    path = folder / KEY_FILE
    if made is not None:
        _write_private(path, made)
        return made
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _write_private(path: Path, text: str) -> None:
    """Replaces a file of mode 0600: whoever reads it reads the old or the new one.

    Raises:
        UnavailableError: It cannot be written.
    """
    new = path.with_suffix(".new")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text + "\n")
        new.replace(path)
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}"
        raise UnavailableError("FILE_NOT_WRITABLE", message, timedelta(seconds=5)) from None


def _log_adapter(line: AdapterLogLine) -> None:
    level = {"trace": "debug", "warn": "warning"}.get(line.level, line.level)
    getattr(log, level, log.info)(
        line.message, adapter=line.channel, session_id=line.session_id or None, **dict(line.fields)
    )
