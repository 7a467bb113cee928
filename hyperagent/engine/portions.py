"""Evaluations made only as far as another run of the campaign made them (see ``engine.reenactment``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hyperagent.engine.evaluate import Evaluator
from hyperagent.engine.racing import recorded_terms
from hyperagent.types import Split, Variant


class PortionEvaluator(Evaluator):
    """An evaluator that can stop where it is told to."""

    def part(
        self, variant: Variant, split: Split, portions: Mapping[str, tuple[int, int]], report: Callable[[str], None]
    ) -> None:
        """Run the first tasks of each benchmark, as far as they have no outcome yet.

        Args:
            portions: Benchmark -> size of the screen, number of tasks to run.
        """
        raced = split == "validation" and recorded_terms(self._parts.archive, variant) is not None
        for setup in self._setups():
            screen, count = portions.get(setup[1].name, (0, 0))
            if count:
                evaluation = self._start(variant, setup, split, screen, shuffled=raced)
                self._run(variant, evaluation, setup, count, split, report)
