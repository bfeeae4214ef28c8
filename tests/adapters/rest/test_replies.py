"""What the agent says, out of its data."""

from typing import Any

import pytest
from mimic_adapter_rest.profile import compile_profile
from mimic_adapter_rest.replies import AnswerError, ReplyReader
from mimic_adapter_rest.settings import RestSettings
from mimic_plugin_sdk import Card, Choice, ChoiceKind, ChoicesOffered, Media, MediaKind, Text


def reader(**reply: Any) -> ReplyReader:
    settings = RestSettings.model_validate({"url": "http://agent/chat/", "reply": reply})
    return compile_profile(settings).reader


def contents(data: Any, **reply: Any) -> list[Any]:
    return [said.content for said in reader(**reply).read(data).said]


@pytest.mark.parametrize(
    "data, texts",
    [
        ({"reply": "hi"}, ["hi"]),
        ({"reply": 7}, ["7"]),
        ({"reply": ["a", "", "b", None, 1]}, ["a", "b", "1"]),
        ({"reply": ""}, []),
        ({"reply": None}, []),
        ({"reply": []}, []),
        ({"reply": "\ud83d\ude00"}, ["\U0001f600"]),
        ({"reply": "a\ud83db"}, ["a\ufffdb"]),
    ],
)
def test_texts(data: Any, texts: list[str]) -> None:
    assert contents(data) == texts


@pytest.mark.parametrize("data", [{}, [], "hi", None, {"reply": {}}, {"reply": True}])
def test_what_is_no_text(data: Any) -> None:
    with pytest.raises(AnswerError) as refused:
        contents(data)
    assert refused.value.reason == "AGENT_REPLY_MISSING"


def test_texts_of_parts() -> None:
    data = {"parts": [{"text": "a"}, {"image": "x"}, {"text": "b"}]}
    assert contents(data, text="$.parts[*].text") == ["ab"]
    assert contents(data, text="$.parts[*].text", join="\n") == ["a\nb"]
    assert contents(data, text="$.parts[*].text", markup="markdown") == [(Text("ab", "markdown"),)]
    # Blocks that are not text are silence, not a fault.
    assert contents({"c": [{"tool": 1}]}, text="$.c | $.c[*].text") == []


def test_messages_of_earlier_turns_are_left_out() -> None:
    roles = {"user": "persona", "bot": "agent", "wait": "typing", "over": "end"}
    turns = [("bot", "old"), ("user", "hi"), ("bot", "new"), ("tool", "no"), ("wait", ""), ("over", "")]
    data = [{"by": by, "text": text} for by, text in turns]
    answer = reader(messages="$[*]", text="$.text", role="$.by", roles=roles).read(data)
    assert [said.content for said in answer.said] == ["new"]
    assert (answer.typing, answer.ended) == (True, True)


def test_choices_links_files_and_cards() -> None:
    data = {
        "id": 7,
        "reply": "look",
        "files": [
            {"url": "a.png"},
            {"url": "https://h/b", "type": "audio/ogg", "name": "b"},
            {"url": "ftp://h/c"},
        ],
        "actions": [{"id": {"k": 1}, "title": "Yes"}, {"title": "No"}, {}],
        "links": [{"id": "https://h/", "title": "Site"}],
        "card": {"kind": "hero", "title": "Card"},
    }
    (said,) = (
        reader(
            id="$.id",
            media="$.files[*]",
            media_type="$.type",
            media_name="$.name",
            choices="$.actions[*]",
            links="$.links[*]",
            choice_kind="quick_reply",
            cards="$.card",
            card_text="$.title",
            card_type="$.kind",
        )
        .read(data)
        .said
    )
    assert (said.id, said.text) == ("7", "look\nCard")
    assert said.content == (
        Text("look"),
        Media(kind=MediaKind.IMAGE, mime_type="image/png", uri="http://agent/chat/a.png"),
        Media(kind=MediaKind.AUDIO, mime_type="audio/ogg", name="b", uri="https://h/b"),
        Media(),
        Card("Card", "hero", '{"kind": "hero", "title": "Card"}'),
        ChoicesOffered(
            (
                Choice('{"k": 1}', "Yes", ChoiceKind.QUICK_REPLY),
                Choice("No", "No", ChoiceKind.QUICK_REPLY),
                Choice("https://h/", "Site", ChoiceKind.LINK, uri="https://h/"),
            )
        ),
    )
    # With several texts, what is beside them belongs to the last.
    data["reply"] = ["a", "b"]
    first, second = contents(data, media="$.files[0]")
    assert first == "a"
    assert second[0] == Text("b")
    # And alone it is a message too.
    assert contents({"card": 1}, cards="$.card") == [(Card("", "", "1"),)]
