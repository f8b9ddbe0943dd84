"""Expressions over the series that the rules record, for the dashboard of objectives."""

from firsttoken import recorded
from firsttoken.catalogue import REQUEST_MODEL
from firsttoken.dashboards import variables
from firsttoken.vocabulary import Vocabulary

__all__ = ["Objectives", "firing"]


def firing(*matchers: str) -> str:
    """The firing alerts of services that have objectives, and no others."""
    chosen = ", ".join(('alertstate="firing"', *matchers))
    return f"(ALERTS{{{chosen}}} and on ({recorded.SERVICE_LABEL}) {recorded.OBJECTIVE})"


class Objectives:
    """Expressions over the series that the rules record."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.model = vocabulary.label(REQUEST_MODEL.name)
        self.key = f"{recorded.SERVICE_LABEL}, {recorded.OBJECTIVE_LABEL}"
        self._per_model = variables.objective_matchers(vocabulary)
        self._per_objective = variables.objective_matchers(vocabulary, model=False)

    def series(self, name: str) -> str:
        """A recorded series that is kept apart by model."""
        return f"{name}{{{self._per_model}}}"

    def windows(self, name: str) -> str:
        """All the windows of a recorded rate, with the window as a label of its own."""
        found = f'{{__name__=~"{name}.+", {self._per_model}}}'
        return f'label_replace({found}, "window", "$1", "__name__", "{name}(.+)")'

    def joined(self, left: str, operator: str, right: str) -> str:
        """``left`` of each model with ``right`` of its objective."""
        return f"({left}) {operator} on ({self.key}) group_left () ({right})"

    def allowed(self) -> str:
        """The share of events that may be bad."""
        return f"1 - {recorded.OBJECTIVE}{{{self._per_objective}}}"

    def objective(self) -> str:
        """The objective of each model, also when nothing was measured."""
        target = f"{recorded.OBJECTIVE}{{{self._per_objective}}}"
        return self.joined(f"0 * {self.series(recorded.PERIOD_TOTAL)}", "+", target)

    def bad_share(self) -> str:
        """The share of bad events over the period; NaN when there were none at all."""
        total = self.series(recorded.PERIOD_TOTAL)
        return f"{self.series(recorded.PERIOD_BAD)} / ({total} > 0) or {total} * NaN"

    def budget_left(self) -> str:
        """1 is untouched, 0 is spent, below 0 is overspent."""
        return f"1 - {self.joined(self.bad_share(), '/', self.allowed())}"

    def burn(self, how: str) -> str:
        """How many times faster than allowed the budget goes: ``max`` or ``min`` of all windows.

        Which windows there are follows from the objective and its period, so none is named here.
        """
        total = self.windows(recorded.TOTAL)
        share = f"{self.windows(recorded.BAD)} / ({total} > 0) or {total} * NaN"
        kept = f"{self.key}, {self.model}"
        return f"{how} by ({kept}) ({self.joined(share, '/', self.allowed())})"

    def chosen(self, name: str) -> str:
        """A recorded rate over the window that the reader chose."""
        return f'{{__name__="{name}$window", {self._per_model}}}'

    def burn_by_window(self) -> str:
        """The fastest burn rate of the chosen objectives, for each window that is recorded."""
        total = self.windows(recorded.TOTAL)
        share = f"{self.windows(recorded.BAD)} / ({total} > 0) or {total} * NaN"
        return f"max by (window) ({self.joined(share, '/', self.allowed())})"

    def exhaustion(self) -> str:
        """Seconds until the budget is spent at the lowest burn rate of all windows."""
        period = f"{recorded.PERIOD}{{{self._per_objective}}}"
        left = f"clamp_min({self.budget_left()}, 0) / clamp_min({self.burn('min')}, 1e-9)"
        return self.joined(left, "*", period)

    def closeness(self, tier: str) -> str:
        """How close each objective is to the alert of a tier: it fires while this is above 1.

        An alert needs its share of bad events in both of its windows; one without traffic has none.
        """
        total = self.windows(recorded.TOTAL)
        share = f"{self.windows(recorded.BAD)} / ({total} > 0) or {total} * 0"
        limit = f'{recorded.LIMIT}{{{recorded.BURN_LABEL}="{tier}", {self._per_objective}}}'
        both = f"on ({self.key}, {recorded.WINDOW_LABEL}) group_left ()"
        return f"min by ({self.key}, {self.model}) (({share}) / {both} {limit})"

    def alerts(self, *more: str) -> str:
        """The firing alerts of the chosen services; whoever else labels alerts is left out."""
        return firing(f'{recorded.SERVICE_LABEL}=~"$service"', *more)
