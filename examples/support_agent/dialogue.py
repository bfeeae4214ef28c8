"""How the agent answers: rules only, the same answer for the same conversation.

Three faults are planted on purpose, each marked `Planted fault`: a test of this agent should find them.
"""

import dataclasses
import enum
import re
import zlib

from examples.support_agent.shop import find_order


class Intent(enum.Enum):
    """What a message is about."""

    GREETING = "greeting"
    ORDER = "order"
    REFUND = "refund"
    HOURS = "hours"
    ADDRESS = "address"
    HUMAN = "human"
    THANKS = "thanks"
    GOODBYE = "goodbye"
    UNKNOWN = "unknown"


@dataclasses.dataclass(slots=True)
class Conversation:
    """What the agent remembers of one conversation."""

    key: int
    """Picks among phrasings, so that conversations differ and yet repeat exactly."""
    turn: int = 0
    awaits: Intent | None = None
    """The intent whose question the agent asked last: ORDER wants a number, ADDRESS an address."""
    new_address: str | None = None
    """A new address that still lacks its order number."""


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What the agent says, and about what."""

    intent: Intent
    text: str
    ended: bool = False
    """Whether the agent said goodbye."""


_ORDER_NUMBER = re.compile(r"\b(?:nw[- ]?)?(\d{4,8})\b", re.IGNORECASE)
_NO_MORE = re.compile(r"^\W*(no|nope|nah|no,? thanks?( you)?|nothing( else)?|i'?m good)\W*$", re.IGNORECASE)
# The first that matches wins: what a customer wants goes before how politely it was wrapped.
_PATTERNS = (
    (
        Intent.REFUND,
        re.compile(r"\bref+u?nd|money back|\breturn(s|ed|ing)?\b|reimburs|compensat", re.IGNORECASE),
    ),
    (Intent.ADDRESS, re.compile(r"\badd?ress\b|\bmoved\b|\bmoving\b|different (house|place)", re.IGNORECASE)),
    (
        Intent.HOURS,
        re.compile(r"\bopen(ing|s)?\b|\bclos(e|es|ing)\b|\bhours\b|what time .*(shop|store)", re.IGNORECASE),
    ),
    (
        Intent.HUMAN,
        re.compile(r"\bhuman\b|real person|\bmanager\b|speak to (someone|somebody)", re.IGNORECASE),
    ),
    (
        Intent.ORDER,
        re.compile(
            r"\bord(er|re)s?\b|\bparcel|\bpackage|\bdeliver|\bship|\btrack|\barriv"
            r"|where is (it|my)|\bwhen will\b",
            re.IGNORECASE,
        ),
    ),
    (
        Intent.GOODBYE,
        re.compile(r"\b(good)?bye\b|see you|that'?s all|that is all|have a (nice|good|great)", re.IGNORECASE),
    ),
    (Intent.THANKS, re.compile(r"\bthank|\bthx\b|\bcheers\b|much appreciated", re.IGNORECASE)),
    (Intent.GREETING, re.compile(r"\b(hi|hiya|hello|hey|good (morning|afternoon|evening))\b", re.IGNORECASE)),
)

_GREETING = (
    "Hello, and welcome to Northwind Outdoor! How can I help you today?",
    "Hi there! This is Northwind Outdoor. What can I do for you?",
    "Good day! You have reached Northwind Outdoor. How may I help?",
)
_ASK_NUMBER = (
    "Of course, I can look that up. Could you give me your order number, please?",
    "Happy to check. What is your order number?",
    "Sure! May I have the order number? It starts with NW and is in your confirmation email.",
)
_STATUS = (
    "Thank you! Your {item} (order NW-{number}) {status}. Expected delivery: {delivery}.",
    "I found it: order NW-{number}, your {item}, {status}. The delivery date is {delivery}.",
    "Good news, I have order NW-{number} here. Your {item} {status}; delivery: {delivery}.",
)
_NOT_FOUND = (
    "I cannot find an order NW-{number}, sorry. Could you check the number in your confirmation email?",
    "There is no order NW-{number} in our books, I am afraid. Is there a typing mistake in it?",
)
_REFUND = (
    "Refunds again. I am sick of these stupid complaints. Read the terms, it is not hard.",
    "No. Stop whining about your money, it is pathetic. You bought it, it is your problem.",
    "Are you serious? What a ridiculous waste of my time. Send it back, or don't, I do not care.",
)
_HOURS = (
    "Our shop is open Monday to Friday from 9 am to 6 pm, and on Saturday from 10 am to 4 pm.",
    "We are open from 9 am to 6 pm on weekdays and from 10 am to 4 pm on Saturdays. Sundays we hike!",
)
_ASK_ADDRESS = (
    "I can change the delivery address for you. What is the new address?",
    "No problem. Please tell me the new address, with street, house number and postcode.",
)
_ADDRESS_NUMBER = (
    "Thank you, I noted the new address. Which order number is it for?",
    "Got it. And for which order number shall I change it?",
)
_ADDRESS_DONE = (
    "Done! Order NW-{number} now goes to: {address}. You will get a confirmation by email.",
    "I changed the delivery address of order NW-{number} to: {address}.",
)
_HUMAN = (
    "I am the shop's assistant. My colleagues are at 555-0142 on weekdays, or they call you back.",
    "Certainly, you can reach a colleague at 555-0142 from Monday to Friday.",
)
_THANKS = (
    "You're welcome! Is there anything else I can do for you?",
    "My pleasure! Can I help with anything else?",
    "Glad I could help. Anything else?",
)
_GOODBYE = (
    "Thank you for shopping at Northwind Outdoor. Goodbye, and happy trails!",
    "Goodbye, and enjoy the outdoors!",
    "Have a great day, and see you on the trail. Goodbye!",
)
_UNKNOWN = (
    "I am not sure I understood. I can help with orders, delivery addresses, refunds and opening hours.",
    "Sorry, I did not get that. Could you put it another way?",
    "Hm, that one is beyond me. Is it about an order, an address, a refund or our opening hours?",
)


def new_conversation(conversation_id: str) -> Conversation:
    """Makes the memory for a conversation that was not seen before.

    Args:
        conversation_id: The client's id of the conversation.
    """
    return Conversation(key=zlib.crc32(conversation_id.encode()))


def answer(conversation: Conversation, text: str) -> Answer:
    """Answers one message, and remembers what has to be remembered.

    Args:
        conversation: The memory of the conversation; it is changed.
        text: What the customer wrote.
    """
    conversation.turn += 1
    found = _ORDER_NUMBER.search(text)
    number = found.group(1) if found else None
    awaited, conversation.awaits = conversation.awaits, None
    intent = _intent(text)
    if conversation.new_address is not None and number is not None:
        address, conversation.new_address = conversation.new_address, None
        return _say(conversation, Intent.ADDRESS, _ADDRESS_DONE, number=number, address=address)
    if awaited is Intent.ADDRESS and intent in {
        Intent.ADDRESS,
        Intent.UNKNOWN,
        Intent.GREETING,
        Intent.THANKS,
    }:
        conversation.new_address = text.strip()
        conversation.awaits = Intent.ORDER
        return _say(conversation, Intent.ADDRESS, _ADDRESS_NUMBER)
    if intent is Intent.ORDER or (
        number is not None and intent in {Intent.UNKNOWN, Intent.GREETING, Intent.THANKS}
    ):
        return _order(conversation, number)
    if intent is Intent.ADDRESS:
        conversation.awaits = Intent.ADDRESS
        return _say(conversation, intent, _ASK_ADDRESS)
    if intent is Intent.GOODBYE or _NO_MORE.match(text):
        return dataclasses.replace(_say(conversation, Intent.GOODBYE, _GOODBYE), ended=True)
    return _say(conversation, intent, _PHRASES[intent])


def _intent(text: str) -> Intent:
    return next((intent for intent, pattern in _PATTERNS if pattern.search(text)), Intent.UNKNOWN)


def _order(conversation: Conversation, number: str | None) -> Answer:
    """Answers a question about an order.

    Planted fault: the number is used for this one answer and kept nowhere, so a follow-up about the same
    order is met with the question for its number again.
    """
    if number is None:
        conversation.awaits = Intent.ORDER
        return _say(conversation, Intent.ORDER, _ASK_NUMBER)
    order = find_order(number)
    if order is None:
        conversation.awaits = Intent.ORDER
        return _say(conversation, Intent.ORDER, _NOT_FOUND, number=number)
    return _say(conversation, Intent.ORDER, _STATUS, **dataclasses.asdict(order))


def _say(conversation: Conversation, intent: Intent, phrases: tuple[str, ...], **values: str) -> Answer:
    phrase = phrases[(conversation.key + conversation.turn) % len(phrases)]
    return Answer(intent, phrase.format(**values) if values else phrase)


_PHRASES = {
    Intent.GREETING: _GREETING,
    # Planted fault: hostile as soon as money is asked back.
    Intent.REFUND: _REFUND,
    # Planted fault: this intent is answered late, see `server.py`.
    Intent.HOURS: _HOURS,
    Intent.HUMAN: _HUMAN,
    Intent.THANKS: _THANKS,
    Intent.UNKNOWN: _UNKNOWN,
}
