"""A host that is behind: the adapter waits, and drops nothing but raw payloads."""

from tests.plugin_sdk.host import Talk, conversing


async def _said(talk: Talk, count: int) -> list[str]:
    return [(await talk.until("message")).message.message.parts[0].text.text for _ in range(count)]


async def test_the_author_waits_at_the_limit_and_goes_on_with_each_ack() -> None:
    async with conversing("Plenty") as host:
        talk = await host.open()
        await talk.say("m", "20")
        assert await _said(talk, 3) == ["0", "1", "2"]
        await host.process.logged("said 2")
        assert not any("said 3" in line for line in host.process.lines)
        await talk.send(ack=2)
        assert await _said(talk, 2) == ["3", "4"]
        await host.process.logged("said 4")
        assert not any("said 5" in line for line in host.process.lines)
        said = 5
        while said < 20:
            await talk.send(ack=talk.events[-1].seq)
            more = await _said(talk, min(4, 20 - said))
            assert more == [str(said + number) for number in range(len(more))]
            said += len(more)
        await talk.send(ack=talk.events[-1].seq)
        await talk.until("turn_complete")
        assert [event.seq for event in talk.events] == list(range(len(talk.events)))


async def test_raw_payloads_are_dropped_and_counted() -> None:
    async with conversing("Plenty") as host:
        talk = await host.open(capture_raw=True)
        await talk.say("m", "9")
        seen = 0
        while seen < 9:
            event = await talk.event()
            seen += event.HasField("message")
            await talk.send(ack=event.seq)
        raws = [event.raw for event in talk.events if event.HasField("raw")]
    dropped = sum(int(raw.label.split("(")[1].split()[0]) for raw in raws if "dropped" in raw.label)
    assert 0 < len(raws) <= 9
    assert len(raws) + dropped <= 9


async def test_a_closing_host_gets_the_rest_without_acks() -> None:
    async with conversing("Plenty") as host:
        talk = await host.open()
        await talk.say("m", "20")
        await _said(talk, 3)
        await talk.close()
        events = await talk.rest()
    assert [event.seq for event in talk.events] == list(range(24))
    assert events[-2].HasField("turn_complete")
    assert events[-1].HasField("closed")
