"""What Northwind Outdoor knows: its orders. There is no database, so every order number leads somewhere."""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Order:
    """An order as the customer sees it."""

    number: str
    """Digits only, without the `NW-` in front of it."""
    item: str
    status: str
    """The rest of a sentence that begins with "Your <item>"."""
    delivery: str
    """The delivery date in words."""


_ITEMS = (
    "two-person tent",
    "down sleeping bag",
    "trekking poles",
    "rain jacket",
    "gas stove",
    "hiking boots",
    "40-litre backpack",
    "head torch",
)
_PROGRESS = (
    ("is packed and leaves our warehouse tonight", "4 December"),
    ("is on its way with the carrier", "27 November"),
    ("is out for delivery", "today before 6 pm"),
    ("was delayed by the carrier", "2 December"),
    ("is waiting at the parcel shop near you", "ready for pick-up until 30 November"),
)


def find_order(number: str) -> Order | None:
    """Looks an order up.

    Args:
        number: The order number's digits.

    Returns:
        The order, always the same for the same number. None for a number that ends in 000.
    """
    if number.endswith("000"):
        return None
    value = int(number)
    status, delivery = _PROGRESS[value % len(_PROGRESS)]
    return Order(number, _ITEMS[value % len(_ITEMS)], status, delivery)
