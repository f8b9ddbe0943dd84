"""The kinds of objectives: what is counted, and which of it is bad."""

import re
from decimal import Decimal, InvalidOperation
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from firsttoken import catalogue
from firsttoken.catalogue import Metric
from firsttoken.config import Model, format_duration, parse_duration
from firsttoken.rules.bounds import LatencyKey
from firsttoken.rules.gateways import GatewayName

__all__ = [
    "METRICS",
    "AnyObjective",
    "Availability",
    "Counted",
    "Goodput",
    "Latency",
    "Name",
    "Objective",
    "Ratio",
    "Seconds",
    "Throughput",
    "told",
]

METRICS: dict[LatencyKey, Metric] = {
    "ttft": catalogue.TIME_TO_FIRST_TOKEN,
    "tpot": catalogue.TIME_PER_OUTPUT_TOKEN,
    "itl": catalogue.INTER_TOKEN_LATENCY,
    "e2e": catalogue.REQUEST_DURATION,
    "queue": catalogue.QUEUE_DURATION,
}
"""The histogram behind each latency that an objective may name."""


def _decimal(value: object) -> Decimal:
    # A YAML number comes as a float; its shortest text is what was written.
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError("expected a number such as 95 or 99.9")  # noqa: TRY004 (pydantic's)
    try:
        number = Decimal(str(value).removesuffix("%"))
    except InvalidOperation:
        raise ValueError("expected a number such as 95 or 99.9") from None
    if not number.is_finite():
        raise ValueError("expected a number such as 95 or 99.9")
    return number


def _exact_seconds(value: object) -> Decimal:
    if isinstance(value, Decimal):
        return value
    return Decimal(repr(parse_duration(value))).normalize()


def told(seconds: Decimal) -> str:
    """A threshold for people; one that is no whole number of microseconds is cut."""
    cut = seconds.quantize(Decimal("0.000001"))
    if cut == cut.quantize(Decimal("0.001")):
        return format_duration(float(cut))
    return f"{'' if cut == seconds else 'about '}{cut.normalize():f}s"


def _percent(value: object) -> Decimal:
    number = _decimal(value)
    if not 50 <= number <= Decimal("99.999"):
        raise ValueError(
            "expected a percentage from 50 to 99.999; 100 leaves no budget that could burn, and"
            " below 50 no burn rate above 1 can be reached"
        )
    return number


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as exc:
        raise ValueError(f"expected a regular expression: {exc}") from None
    return text


def _value(text: str) -> str:
    if text.startswith(("=~", "!~")):
        _regex(text[2:])
    return text


Percent = Annotated[Decimal, BeforeValidator(_percent)]
Seconds = Annotated[Decimal, BeforeValidator(_exact_seconds), Field(gt=0)]
Floor = Annotated[Decimal, BeforeValidator(_decimal), Field(gt=0)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
Attribute = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_.]*$")]


class _Objective(Model):
    name: Name
    target: Percent

    @property
    def ratio(self) -> Decimal:
        """The share of events that must be good."""
        return self.target / 100

    @property
    def budget(self) -> Decimal:
        """The share of events that may be bad."""
        return 1 - self.ratio


class Latency(_Objective):
    """``target`` percent of the observations of ``metric`` are not above ``threshold`` seconds."""

    kind: Literal["latency"]
    metric: LatencyKey
    threshold: Seconds

    @property
    def catalogue_metric(self) -> Metric:
        """The histogram that is measured."""
        return METRICS[self.metric]

    @property
    def promise(self) -> str:
        """What ``target`` percent is of, in words."""
        return f"{self.metric.upper()} within {told(self.threshold)}"


class Availability(_Objective):
    """``target`` percent of the requests do not end with one of the ``bad`` reasons.

    With ``of: http`` the reasons are classes of HTTP status such as ``5xx``, on ``routes``; with
    ``of: gateway`` they are what ``gateway`` counts as its own failures; without, they are finish
    reasons of the engine, and what never reaches it is not seen.  ``ignored`` requests count
    neither way.
    """

    kind: Literal["availability"]
    of: Literal["requests", "http", "gateway"] = "requests"
    gateway: GatewayName | None = None
    bad: tuple[str, ...] = Field(default=("error",), min_length=1)
    ignored: tuple[str, ...] = ("abort",)
    routes: Annotated[str, AfterValidator(_regex)] = (
        "/v1/(chat/completions|completions|responses|messages|embeddings)"
    )
    """A regular expression of the HTTP routes that count; probes and scrapes do not."""

    @model_validator(mode="before")
    @classmethod
    def _of_http(cls, data: object) -> object:
        if isinstance(data, dict) and data.get("of") == "http":
            return {"bad": ("5xx",), "ignored": (), **data}
        return data

    @model_validator(mode="after")
    def _of_gateway(self) -> Self:
        if (self.of == "gateway") != (self.gateway is not None):
            raise ValueError("of: gateway and the name of a gateway go together")
        if self.of == "gateway" and self.model_fields_set & {"bad", "ignored", "routes"}:
            raise ValueError("bad, ignored and routes are not for of: gateway; a ratio has them")
        return self

    @property
    def promise(self) -> str:
        """What ``target`` percent is of, in words."""
        if self.of == "gateway":
            return f"requests that {self.gateway} answers"
        if self.of == "http":
            return f"HTTP requests without {' or '.join(self.bad)}"
        return "requests without error"


class Counted(Model):
    """A counter by its catalogue name or its name in Prometheus, narrowed by attributes or labels.

    A value may begin with ``!=``, ``=~`` or ``!~``; without, it must be equal.
    """

    metric: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:.]*$")]
    where: dict[Attribute, Annotated[str, AfterValidator(_value)]] = Field(default_factory=dict)


class Ratio(_Objective):
    """``target`` percent of what ``total`` counts is ``good``, or is not ``bad``."""

    kind: Literal["ratio"]
    total: Counted
    good: Counted | None = None
    bad: Counted | None = None

    @model_validator(mode="after")
    def _good_or_bad(self) -> Self:
        if (self.good is None) == (self.bad is None):
            raise ValueError("give either good or bad, beside total")
        return self

    @property
    def promise(self) -> str:
        """What ``target`` percent is of, in words."""
        of = f"without {self.bad.metric}" if self.bad else f"as {self.part.metric}"
        return f"{self.total.metric} {of}"

    @property
    def part(self) -> Counted:
        """What is counted beside the total: the bad or the good."""
        part = self.bad or self.good
        if part is None:
            raise ValueError("neither good nor bad")
        return part


class _Floor(_Objective):
    floor: Floor
    """Per second."""
    demand: Literal["waiting", "running"] = "waiting"

    @property
    def _when(self) -> str:
        return f"time in which requests are {self.demand}"


class Throughput(_Floor):
    """In ``target`` percent of the time with demand, at least ``floor`` of something a second.

    There is demand while requests are waiting; with ``demand: running`` while any is in the engine.
    """

    kind: Literal["throughput"]
    of: Literal["output_tokens", "input_tokens", "requests"] = "output_tokens"

    @property
    def promise(self) -> str:
        """What ``target`` percent is of, in words."""
        return f"the {self._when} with at least {self.floor:f} {self.of.replace('_', ' ')}/s"


class Goodput(_Floor):
    """In ``target`` percent of the time with demand, ``floor`` good observations a second.

    Good is what is not above ``threshold`` of ``metric``.
    """

    kind: Literal["goodput"]
    metric: LatencyKey
    threshold: Seconds

    @property
    def catalogue_metric(self) -> Metric:
        """The histogram that is measured."""
        return METRICS[self.metric]

    @property
    def promise(self) -> str:
        """What ``target`` percent is of, in words."""
        limit = f"{self.metric.upper()} within {told(self.threshold)}"
        return f"the {self._when} with at least {self.floor:f} requests/s with {limit}"


AnyObjective = Latency | Availability | Ratio | Throughput | Goodput
Objective = Annotated[AnyObjective, Field(discriminator="kind")]
