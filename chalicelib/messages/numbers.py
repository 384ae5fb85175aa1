"""Numbers of JSON, which count by their value however they are written: `2` and `2.0` are one integer, `100` and `1E+2` one amount.

Source: RFC 8259, section 6; JSON Schema 2020-12, core, section 4.2.3 (a number with a zero fraction is an integer).
"""

import re
from decimal import Context, Decimal, InvalidOperation
from typing import Any

# Far beyond every limit of ours; what is larger is not written out, as 1E+999999999 would fill the memory.
MOST_DIGITS = 15
CENT, ONE = Decimal("0.01"), Decimal(1)
# Precise enough for that many digits and two decimals, whatever context the caller's thread has.
_EXACT = Context(prec=2 * MOST_DIGITS, traps=[InvalidOperation])


def parse_decimal(text: str) -> Decimal:
    """A JSON number with a fraction or an exponent; where no decimal can hold it, not a number, so that no field takes it."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("NaN")


def parse_whole(text: str) -> int | Decimal:
    """A JSON number of digits alone; long ones as decimals, since Python refuses to read integers of more than 4,300 digits."""
    return int(text) if len(text) <= 2 * MOST_DIGITS else Decimal(text)


def amount(value: Any, plain: re.Pattern[str]) -> Decimal:
    """An amount of money: a JSON number with at most two decimals by its value, or a text that `plain` matches; raises ValueError."""
    if isinstance(value, str):
        if not plain.fullmatch(value):
            raise ValueError("no amount")
        return _multiple(Decimal(value), CENT)
    return _multiple(_number(value), CENT)


def whole(value: Any) -> int:
    """A JSON number without a fraction; raises ValueError."""
    return int(_multiple(_number(value), ONE))


def _number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise ValueError("no exact number")  # noqa: TRY004 - to a caller it is one more wrong value
    return Decimal(value)


def _multiple(number: Decimal, unit: Decimal) -> Decimal:
    if not number.is_finite() or (number and number.adjusted() >= MOST_DIGITS):
        raise ValueError("too large")
    rounded = number.quantize(unit, context=_EXACT)
    if rounded != number:
        raise ValueError("too many decimals")
    # Zero has a sign in JSON, and must not keep it.
    return rounded or rounded.copy_abs()
