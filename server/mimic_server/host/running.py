"""An adapter that runs: its process, if the host launched it, and the link to it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from mimic_server.domain.adapters import Manifest
from mimic_server.host.connections import Connections
from mimic_server.host.discovery import Found
from mimic_server.host.link import Link
from mimic_server.host.log_book import LogBook
from mimic_server.host.process import AdapterProcess, StartError
from mimic_server.host.refusals import LinkLost, Refused
from mimic_server.host.settings import Launch, Limits
from mimic_server.host.spawner import Spawner

_MISSED_PINGS = 2
_CAUSE_SECONDS = 0.5
_SEE_LOG = "its log may tell why; restart it once that is mended"


class Running:
    """A running adapter. Make one by `start`."""

    def __init__(self, found: Found, link: Link, process: AdapterProcess | None, manifest: Manifest) -> None:
        self.link = link
        self.manifest = manifest
        self._found = found
        self._process = process

    @classmethod
    async def start(
        cls, found: Found, launch: Launch, spawner: Spawner, book: LogBook, limits: Limits
    ) -> Running:
        """Launches an adapter, or goes to where it is attached, and gets to know it.

        Raises:
            StartError: It did not start. Nothing of it is left.
        """
        until = asyncio.get_running_loop().time() + limits.start_seconds
        process = None
        target = found.launched_by
        if found.attached is None:
            process = await AdapterProcess.launch(Path(found.launched_by), launch, spawner, book, limits)
            target = process.target
        link = Link(target, found.attached, limits)
        try:
            left = max(until - asyncio.get_running_loop().time(), 0.001)
            manifest = await _meet(found, link, process, left)
        except BaseException as error:
            await link.close()
            if process is not None:
                await process.kill()
            if isinstance(error, TimeoutError):
                what = f"did not serve within {limits.start_seconds:g} s"
                remedy = "its log may tell why; if it is only slow, raise the start limit"
                raise StartError(f"`{found.launched_by}` {what}", remedy) from None
            raise
        link.limit(manifest.capabilities.max_concurrent_sessions)
        return cls(found, link, process, manifest)

    @property
    def pid(self) -> int | None:
        """Its process. None: the host did not launch it."""
        return None if self._process is None else self._process.child.pid

    async def watch(self, connections: Connections, book: LogBook, limits: Limits) -> StartError:
        """Waits until it fails, and meanwhile listens to what it tells. Returns how it failed."""
        pinging = asyncio.create_task(self._ping(limits))
        watching = asyncio.create_task(self._watch(connections, book, limits))
        reconnecting = asyncio.create_task(connections.bring_all_up(self.link, self.manifest))
        tasks: list[asyncio.Task[Any]] = [pinging, watching, reconnecting]
        ends: list[asyncio.Future[Any]] = [pinging]
        if self._process is None:
            # There is no process to watch; the broken call is how the host learns of a restart.
            ends.append(watching)
        else:
            ends.append(self._process.child.exited)
            tasks.append(asyncio.create_task(self.link.read_stdio(book)))
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            reason = next(end.result() for end in ends if end.done())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._process is not None and self._process.child.exited.done():
            reason = self._process.account()
        return StartError(f"`{self._found.launched_by}`: {reason}", _SEE_LOG)

    async def _ping(self, limits: Limits) -> str:
        """Asks for its health again and again. Returns what is wrong once it is wrong."""
        missed = 0
        while True:
            await asyncio.sleep(0 if missed else limits.ping_every_seconds)
            wrong = await self.link.unwell(limits.ping_answer_seconds)
            missed = missed + 1 if wrong else 0
            if missed >= _MISSED_PINGS:
                return wrong

    async def _watch(self, connections: Connections, book: LogBook, limits: Limits) -> str:
        """Watches its connections. Returns why once it is lost."""
        while True:
            try:
                await connections.watch(self.link)
                book.note("warn", "it ended WatchConnections, which it must not")
            except Refused as error:
                book.note("warn", f"it ended WatchConnections: {error}")
            except LinkLost as error:
                return error.reason
            await asyncio.sleep(limits.ping_every_seconds)

    async def end(self, limits: Limits, reason: str) -> None:
        """Ends it gently: asks it to, then insists. An attached one is only left alone.

        Conversations are lost at once rather than run into the adapter's end, which might come as a fault:
        they may go on over its next process.
        """
        self.link.lose(reason)
        if self._process is not None:
            asking = asyncio.create_task(self.link.shut_down(limits.shutdown_seconds))
            await self._process.end(limits)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        await self.link.close()

    async def kill(self) -> None:
        """Ends it at once, with its whole process group."""
        if self._process is not None:
            await self._process.kill()
        await self.link.close()


async def _meet(found: Found, link: Link, process: AdapterProcess | None, seconds: float) -> Manifest:
    async with asyncio.timeout(seconds):
        try:
            wrong = await link.unwell(seconds)
            manifest = None if wrong else await link.manifest(seconds)
        except (Refused, LinkLost) as error:
            wrong, manifest = f"it did not tell its manifest: {error}", None
    if manifest is None:
        if process is not None:
            await asyncio.wait([process.child.exited], timeout=_CAUSE_SECONDS)
            if process.child.exited.done():
                wrong = process.account()
        remedy = _SEE_LOG if process is not None else "see that it runs there, and that its TLS is configured"
        raise StartError(f"`{found.launched_by}` did not start: {wrong}", remedy)
    if manifest.channel != found.channel:
        raise StartError(
            f"`{found.launched_by}` serves the channel {manifest.channel!r}, and not {found.channel!r}",
            "name the executable, or the attached address, for the channel that it serves",
        )
    try:
        is_object = isinstance(json.loads(manifest.settings_schema_json or "{}"), dict)
    except (ValueError, RecursionError):
        is_object = False
    if not is_object:
        raise StartError(
            f"`{found.launched_by}` has a manifest whose settings schema is no JSON object",
            "this is a defect of the adapter: tell its author",
        )
    return manifest
