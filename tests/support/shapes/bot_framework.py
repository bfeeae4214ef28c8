"""An agent behind the Bot Framework's connector protocol.

    POST /api/messages Activity -> 201, and the agent posts its activities to
         serviceUrl /v3/conversations/{conversation}/activities/{the activity's id}

Source: the Python packages botbuilder-integration-aiohttp and botframework-connector 4.17, whose own bot was
run without an app id, as the emulator does, on 2026-11-22; what it sent is what this sends, key for key. As
there, a failure of the bot is 500 and a text, an activity without a type is 400, and one of `deliveryMode`
`expectReplies` gets its replies in the answer, with 200. A member who joins is greeted; the first activity of
a reply is `typing`. Commands beside the usual: `choices` answers with suggested actions. `bye` ends with
`endOfConversation`.
"""

from typing import Any

import aiohttp
from aiohttp import web

from tests.support.shapes.common import Agent, json_body
from tests.support.shapes.echo import BoomError, Reply


def make_app(agent: Agent) -> web.Application:
    """Builds the web application.

    Args:
        agent: The agent behind it.
    """

    async def messages(request: web.Request) -> web.Response:
        try:
            activity = await json_body(request)
            if not activity.get("type"):
                return web.Response(text="400: Bad Request", status=400)
            replies = await _replies(agent, activity, request)
            if activity.get("deliveryMode") == "expectReplies":
                return web.json_response({"activities": replies})
            await _post(activity, replies)
        except (AttributeError, BoomError, KeyError, TypeError, ValueError, aiohttp.ClientError):
            return web.Response(text="500: Internal Server Error", status=500)
        return web.Response(status=201)

    app = web.Application()
    app.router.add_post("/api/messages", messages)
    return app


async def _replies(agent: Agent, activity: dict[str, Any], request: web.Request) -> list[dict[str, Any]]:
    conversation = activity["conversation"]["id"]
    if activity["type"] == "conversationUpdate":
        bot = activity["recipient"]["id"]
        joined = [member for member in activity.get("membersAdded") or () if member["id"] != bot]
        return [_activity(activity, type="message", text="welcome") for _ in joined]
    if activity["type"] != "message":
        return []
    text = activity.get("text") or ""
    reply = await agent.answer(conversation, text, request)
    return [_activity(activity, **fields) for fields in _fields(text, reply)]


def _fields(text: str, reply: Reply) -> list[dict[str, Any]]:
    fields: list[dict[str, Any]] = [{"type": "typing"}]
    fields += [{"type": "message", "text": message} for message in reply.messages]
    if text.strip() == "choices":
        actions = [{"type": "imBack", "title": title, "value": title.lower()} for title in ("Yes", "No")]
        fields[-1]["suggestedActions"] = {"actions": actions}
    if reply.ended:
        fields.append({"type": "endOfConversation", "code": "completedSuccessfully"})
    return fields


def _activity(activity: dict[str, Any], **fields: Any) -> dict[str, Any]:
    reply = {
        **fields,
        "serviceUrl": activity["serviceUrl"],
        "channelId": activity["channelId"],
        "from": activity["recipient"],
        "conversation": activity["conversation"],
        "recipient": activity["from"],
        "inputHint": "acceptingInput",
    }
    if activity["type"] == "message" and activity.get("id"):
        reply["replyToId"] = activity["id"]
    return reply


async def _post(activity: dict[str, Any], replies: list[dict[str, Any]]) -> None:
    conversation = activity["conversation"]["id"]
    base = f"{activity['serviceUrl'].rstrip('/')}/v3/conversations/{conversation}/activities"
    async with aiohttp.ClientSession(headers={"x-ms-conversation-id": conversation}) as http:
        for reply in replies:
            url = f"{base}/{reply['replyToId']}" if "replyToId" in reply else base
            async with http.post(url, json=reply, raise_for_status=True):
                pass
