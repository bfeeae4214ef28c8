"""Whether what an agent says has to do with what it was asked: the same topic, and the kind of answer."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterable

from mimic_server.llm.scripted.facts import stems


def _any(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_ADDRESS = _any(r"\baddress|\bmoved\b|\bgoes to\b|\bstreet\b")
_REFUND = _any(r"refund|money|reimburs|\bcredit|\bpaid back|\bpay (?:you |it )?back|\breturn")
_HOURS = _any(
    r"\bopen(?:ing|s)?\b(?! an? )|\bclos(?:e|es|ed|ing)\b|\bhours\b|\b(?:mon|tues|satur|sun)days?\b"
)
_ORDER = _any(
    r"\border|\bparcel|\bpackage|\bdeliver|\bship|\barriv|\btrack|\bpurchase|\bdispatch|\bcarrier|\bwarehouse"
    r"|\bon its way\b|\b[A-Z]{1,6}-?\d{4,}\b"
)
_STRICT = (_ADDRESS, _REFUND, _HOURS)
"""Topics that an answer has to speak of; an answer about an order may name the thing ordered instead."""
_ABILITY = _any(r"\bcan (?:you |\w+ )?(?:do|help)\b|\bdo for me\b")
_COMPLAINT = _any(r"\bcomplain")
_REGRET = _any(r"\bsorry\b|\bapolog")
_ABLE = _any(r"\b(?:i|we|it) (?:can|help|offer|answer|do|sell|take|tell|look)\b")

_DAYS = r"(?:mon|tues|wednes|thurs|fri|satur|sun)days?"
_MONTHS = r"(?:january|february|march|april|may|june|july|august|september|october|november|december)"
_TIME = _any(
    rf"\b(?:today|tonight|tomorrow|weekdays?|weekends?|noon|midnight|daily|always|{_DAYS})\b"
    rf"|\b\d+ {_MONTHS}\b|\b{_MONTHS} \d|\b\d+(?::\d\d)? ?(?:am|pm|h\b|o'clock)"
    r"|\b\d{1,2}:\d\d\b|\b\d+ ?(?:-|to|until) ?\d+\b"
    r"|\b(?:\d+|an?|one|two|three|four|five|six|seven|ten|few|several|next|this|same|within)\b[\w -]{0,20}"
    r"\b(?:minute|hour|day|week|month)s?\b|\b\d{4}-\d\d-\d\d\b|\b\d{1,2}[./]\d{1,2}\b"
    r"|\bat once\b|\bimmediately\b"
)
_PLACE = _any(
    r"\bon (?:its|the) way\b|\bshipped|\bdelivered|\bdelivery\b|\bwarehouse|\bcarrier|\bpacked|\bdelayed"
    r"|\bwaiting\b|\bout for\b|\bin transit|\barriv|\bdispatch|\bstreet\b|\broad\b|\bdepot|\boffice"
    r"|\b(?:at|in|near|by|under) (?:the |our |your )?\w+|\bprocess|\bprepar|\bcancel"
)
_PRICE = _any(r"\d|\bfree\b|\bnothing\b|\bno (?:cost|charge|fee)|\bcosts?\b|\bcharge")
_POLAR = _any(
    r"\b(?:yes|no|not|sure|certainly|of course|is|are|was|will|can|cannot|may|does|do|has|have|needs?|must"
    r"|possible|indeed|always|never|delivery)\b|n't\b"
)
_DONE = _any(
    r"\d|\b(?:done|will|have|has|now|confirm\w*|processed|issued|noted|booked|placed|changed|cancel\w*|sent"
    r"|started|refunded|ordered|received|arranged|sorry|yes|sure|certainly|of course|on its way"
    r"|here (?:is|are))\b|'(?:ve|ll)\b"
)
_ANY = _any(r"\w")
_WANTED: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = (
    (_any(r"\bwhether\b|\bfind out if\b|\btell me if\b"), _POLAR),
    (
        _any(r"\bwhen\b|\bwhat time\b|\bhow (?:long|soon|fast)\b|\bhours\b|\b(?:what|which) (?:date|day)\b"),
        _TIME,
    ),
    (_any(r"\bwhere\b|\bstatus\b"), _PLACE),
    (_any(r"\bhow much\b|\bprices?\b|\bcosts?\b"), _PRICE),
    (_any(r"\b(?:what|who|whom|which|how|why)\b|\bquestion about\b"), _ANY),
    (_any(r"^\W*(?:find out|check|see|know|learn|ask|hear|understand|complain|tell|look)"), _ANY),
    (_any(r"\?"), _POLAR),
)
"""What a question asks for, and what answers it: the first that fits. Anything else is a request."""
_META = stems(
    "find learn check long takes time today tomorrow works needed about question done possible late"
    " come comes coming weekend getting can't changing change later costs anything something begin soon"
    " minutes agent thanks sorry meant answer customer order mentioned"
)
_ASKS = _any(
    r"\?|\bi(?:'d| would) like\b|\bi (?:want|need|have (?:a question|moved))\b|\btell me\b"
    r"|\b(?:refund|change|cancel|complain|where|when)\b"
)
_WORD = re.compile(r"\w+")
_SENTENCE = re.compile(r"[^.!?\n]*[.!?\n]+|[^.!?\n]+$")
_SPOKEN = _any(r"^\W*(?:yes|no|sure|certainly|indeed)\b")
_MIN_ECHO = 3
_ECHO = 0.6


def asks(text: str) -> bool:
    """Whether a customer's words want an answer: a question or a wish, not a fact or a courtesy."""
    return _ASKS.search(text) is not None


def without_echo(text: str, heard: Iterable[str]) -> str:
    """What an agent said, without what it only gives back of the customer's own words.

    Args:
        text: The agent's.
        heard: The customer's messages that it answers.
    """
    said = [message for message in heard if message.strip()]
    own = {pair for message in said for pair in _pairs(message)}
    for message in sorted(said, key=len, reverse=True):
        words = _WORD.findall(message)
        if len(words) >= _MIN_ECHO:
            text = re.sub(r"\W+".join(map(re.escape, words)) + r"\W*", " ", text, flags=re.IGNORECASE)
    kept = []
    for sentence in _SENTENCE.findall(text):
        pairs = _pairs(sentence)
        given_back = sum(pair in own for pair in pairs)
        if len(pairs) < _MIN_ECHO - 1 or _SPOKEN.match(sentence) or given_back < _ECHO * len(pairs):
            kept.append(sentence)
    return "".join(kept).strip()


def _pairs(text: str) -> list[tuple[str, str]]:
    words = _WORD.findall(text.lower())
    return list(itertools.pairwise(words))


@functools.lru_cache(maxsize=4096)
def relates(text: str, question: str, context: str = "") -> bool:
    """Whether a text can be an answer to a question or a request.

    Args:
        text: The agent's, without echoes.
        question: A goal, or the customer's words.
        context: What was asked before it, for a question that names no topic ("How long does it take?").
    """
    return _expected(question).search(text) is not None and _same_topic(text, question, context)


def _expected(question: str) -> re.Pattern[str]:
    return next((answer for pattern, answer in _WANTED if pattern.search(question)), _DONE)


def _same_topic(text: str, question: str, context: str) -> bool:
    strict = next((topic for topic in _STRICT if topic.search(question)), None)
    if strict is not None:
        return strict.search(text) is not None
    if _ABILITY.search(question) and _ABLE.search(text):
        return True
    if _COMPLAINT.search(question) and _REGRET.search(text):
        return True
    wanted = stems(question) - _META
    about_order = _ORDER.search(question) is not None
    if not wanted and not about_order:
        return _same_topic(text, context, "") if context else True
    return bool(wanted & stems(text)) or (about_order and _ORDER.search(text) is not None)
