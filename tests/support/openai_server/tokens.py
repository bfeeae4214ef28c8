"""Tokens, approximately: four characters each, which is what OpenAI's help centre gives for English.

The prompt cache follows the guide "Prompt caching": hits are prefixes of 1,024 tokens and more by 128.
"""

import collections
import hashlib

CHARACTERS_PER_TOKEN = 4
_FIRST = 1024
_STEP = 128
_REMEMBERED = 50_000


def count(text: str) -> int:
    """Counts the tokens of a text, rounding up.

    Args:
        text: Any text.
    """
    return -(-len(text) // CHARACTERS_PER_TOKEN)


class PrefixCache:
    """Which prompt prefixes were seen, the least recently used forgotten first."""

    def __init__(self) -> None:
        self._seen: collections.OrderedDict[bytes, None] = collections.OrderedDict()

    def hit(self, prompt: str) -> int:
        """Looks a prompt up and remembers it.

        Args:
            prompt: The whole prompt as one text.

        Returns:
            The tokens that an earlier prompt began with too: 0, or 1024 and more in steps of 128.
        """
        if len(prompt) < _FIRST * CHARACTERS_PER_TOKEN:
            return 0
        running = hashlib.blake2b(digest_size=16)
        cached, start, missed = 0, 0, False
        for end in range(_FIRST, len(prompt) // CHARACTERS_PER_TOKEN + 1, _STEP):
            running.update(prompt[start * CHARACTERS_PER_TOKEN : end * CHARACTERS_PER_TOKEN].encode())
            start, key = end, running.digest()
            if not missed and key in self._seen:
                cached = end
                self._seen.move_to_end(key)
            else:
                missed = True
                self._seen[key] = None
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return cached
