"""What a person can choose: default, range and meaning declared once, for Python, the command line and the app."""

import math
from typing import NamedTuple

from .errors import InputError


class Option(NamedTuple):
    """A number within [low, high], a whole one where low is, or one of the choices {value: what people read}."""

    default: object
    help: str
    low: float | None = None
    high: float | None = None
    choices: dict | None = None

    def check(self, name, value):
        """The value, as it may be used. Raises InputError, one sentence, for what is none of the choices or out of range."""
        if self.choices is not None:
            if not isinstance(value, (str, int)) or isinstance(value, bool) or value not in self.choices:
                raise InputError(f"There is no {name} {value!r}: choose among {', '.join(map(str, self.choices))}.")
            return value
        low, high = -math.inf if self.low is None else self.low, math.inf if self.high is None else self.high
        whole = isinstance(self.low, int)
        try:
            number = float(value)
            good = low <= number <= high and math.isfinite(number) and not (whole and number != int(number))
        except (TypeError, ValueError, OverflowError):
            good = False
        if not good or isinstance(value, (bool, str)):
            span = f"of {self.low:g} or more" if self.high is None else f"from {self.low:.12g} to {self.high:.12g}"
            raise InputError(f"{name} must be a {'whole ' * whole}number {span}, not {value!r}.")
        return int(number) if whole else number


def check(options, **values):
    """{name: value} after each one's `Option.check`; None stands where the option's default is None."""
    return {name: None if value is None and options[name].default is None else options[name].check(name, value)
            for name, value in values.items()}
