"""Who descends from whom, and which part of a lineage is worth drawing where not all of it fits. Pure.

What is drawn is a *contracted* tree: a variant hangs under its nearest ancestor that is drawn, however many stand
between them. So a filter, or a screen with room for forty lines, never tears a branch from its root.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hyperagent.report.table import best_variant

if TYPE_CHECKING:
    from hyperagent.types import Variant, VariantStatus

FAILED: frozenset[VariantStatus] = frozenset({"no_effect", "duplicate", "invalid"})
UNDECIDED: frozenset[VariantStatus] = frozenset({"mutating", "pending"})


@dataclass(frozen=True)
class View:
    """What is asked for.

    Attributes:
        descendants: Id of the variant whose branch is drawn; empty = everything.
        ancestors: Id of the variant whose line of ancestors is drawn, and nothing else.
        depth: Most generations below the top of what is drawn; None = all.
        best: Only the N variants with the highest scores; 0 = all.
        since: Only steps from this one on.
        statuses: Only these; empty = all.
        show_all: Draw failed attempts and unpromising branches, too.
        rows: Most lines; 0 = as many as it takes. ``show_all`` is stronger.
    """

    descendants: str = ""
    ancestors: str = ""
    depth: int | None = None
    best: int = 0
    since: int = 0
    statuses: frozenset[str] = frozenset()
    show_all: bool = False
    rows: int = 0

    @property
    def filtered(self) -> bool:
        """Whether only some kinds of variants are wanted."""
        return bool(self.best or self.since or self.statuses or self.ancestors)


class Family:
    """The tree of parents of one campaign. One whose parent is not among the variants is a root."""

    def __init__(self, variants: Sequence[Variant]) -> None:
        self.ordered = sorted(variants, key=lambda variant: variant.step)
        self.by_id = {variant.id: variant for variant in self.ordered}
        self.children: dict[str, list[Variant]] = {variant.id: [] for variant in self.ordered}
        self.roots: list[Variant] = []
        self._parents: dict[str, Variant] = {}
        for variant in self.ordered:
            # Only an earlier step can be a parent: damaged rows cannot make a circle.
            parent = self.by_id.get(variant.parent or "")
            if parent is not None and parent.step < variant.step:
                self.children[parent.id].append(variant)
                self._parents[variant.id] = parent
            else:
                self.roots.append(variant)
        self.best = best_variant(self.ordered)
        self.best_path = frozenset(self.ancestors(self.best.id)) if self.best else frozenset()

    def parent(self, identity: str) -> Variant | None:
        return self._parents.get(identity)

    def ancestors(self, identity: str) -> Iterator[str]:
        """The variant itself, its parent, and so on up to the root."""
        found = self.by_id.get(identity)
        while found is not None:
            yield found.id
            found = self._parents.get(found.id)

    def branch(self, identity: str) -> Iterator[Variant]:
        """The variant and all its descendants."""
        waiting = [self.by_id[identity]]
        while waiting:
            found = waiting.pop()
            yield found
            waiting.extend(self.children[found.id])

    def gain(self, variant: Variant) -> float | None:
        """Score minus its parent's; None where either has none."""
        parent = self._parents.get(variant.id)
        if parent is None or parent.score is None or variant.score is None:
            return None
        return variant.score - parent.score


@dataclass
class Drawn:
    """A contracted tree.

    Attributes:
        roots: In step order.
        children: Drawn variant -> drawn variants that hang under it.
        between: Drawn variant -> how many stand between it and the one it hangs under.
        passed: Those that stand between two drawn ones; several branches may share some.
        folded: Drawn variant -> those that would hang under it and are not drawn.
    """

    roots: list[Variant] = field(default_factory=list)
    children: dict[str, list[Variant]] = field(default_factory=dict)
    between: dict[str, int] = field(default_factory=dict)
    passed: set[str] = field(default_factory=set)
    folded: dict[str, list[Variant]] = field(default_factory=dict)

    @property
    def shown(self) -> list[Variant]:
        return [*self.roots, *(child for children in self.children.values() for child in children)]


class Choice:
    """The variants that a view asks for, the most promising first; :meth:`drawn` takes as many as there is room for."""

    def __init__(self, family: Family, view: View) -> None:
        self._family = family
        # The way to the best may be hundreds of steps long; it must not crowd out every other branch.
        self._longest_way = max(4, view.rows // 4)
        if view.ancestors:
            within = [family.by_id[one] for one in family.ancestors(view.ancestors)]
        elif view.descendants:
            within = list(family.branch(view.descendants))
        else:
            within = list(family.ordered)
        ids = {variant.id for variant in within}
        self._tops = [v for v in within if (above := family.parent(v.id)) is None or above.id not in ids]
        self._candidates = _matching(within, view)
        shown = self._candidates if view.show_all or view.filtered else self._worth_a_line(self._candidates)
        if view.depth is not None:
            deepest = min((top.generation for top in self._tops), default=0) + view.depth
            shown = [variant for variant in shown if variant.generation <= deepest]
        tops = {top.id for top in self._tops}
        self._ranked = [*self._tops, *(v for v in self._by_promise(shown) if v.id not in tops)]
        self.least = len(self._tops)
        self.most = len(self._ranked)

    def _worth_a_line(self, variants: Sequence[Variant]) -> list[Variant]:
        children = self._family.children
        return [variant for variant in variants if variant.status not in FAILED or children[variant.id]]

    def _by_promise(self, variants: Sequence[Variant]) -> list[Variant]:
        """The best variant, the steps on the way to it by what they changed, what is under way, then by score."""
        family, best = self._family, self._family.best

        def rank(variant: Variant) -> tuple[float, ...]:
            if best is not None and variant.id == best.id:
                return (0.0,)
            if variant.id in family.best_path:
                return 1.0, -abs(family.gain(variant) or 0.0), variant.step
            if variant.status in UNDECIDED:
                return 2.0, -variant.step
            return 3.0, -(-1.0 if variant.score is None else variant.score), variant.step

        ranked = sorted(variants, key=rank)
        far = [variant for variant in ranked if variant.id in family.best_path][self._longest_way :]
        late = {variant.id for variant in far}
        return [variant for variant in ranked if variant.id not in late] + far

    def drawn(self, count: int) -> Drawn:
        """The tree of the ``count`` most promising variants, roots included."""
        chosen = {variant.id: variant for variant in self._ranked[:count]}
        result = Drawn(children={identity: [] for identity in chosen})
        passed = result.passed
        for variant in sorted(chosen.values(), key=lambda one: one.step):
            way = self._way_up(variant.id, chosen)
            result.between[variant.id] = max(0, len(way) - 1)
            passed.update(way[:-1])
            if way:
                result.children[way[-1]].append(variant)
            else:
                result.roots.append(variant)
        hangs: dict[str, str] = {identity: identity for identity in chosen}
        for variant in self._candidates:  # in step order: a parent comes before its children
            if variant.id not in chosen and variant.id not in passed:
                above = self._nearest(variant.id, hangs)
                if above:
                    result.folded.setdefault(above, []).append(variant)
        return result

    def _way_up(self, identity: str, chosen: Mapping[str, Variant]) -> list[str]:
        """Ids above a variant, up to the first one chosen; empty where there is none."""
        way = []
        for above in self._family.ancestors(identity):
            if above != identity:
                way.append(above)
                if above in chosen:
                    return way
        return []

    def _nearest(self, identity: str, hangs: dict[str, str]) -> str:
        """The nearest variant drawn above one that is not; remembered for all on the way, so that a chain is cheap."""
        way = []
        found = ""
        for above in self._family.ancestors(identity):
            if above in hangs:
                found = hangs[above]
                break
            way.append(above)
        hangs.update(dict.fromkeys(way, found))
        return found


def _matching(variants: Sequence[Variant], view: View) -> list[Variant]:
    found = [
        variant
        for variant in sorted(variants, key=lambda one: one.step)
        if variant.step >= view.since and (not view.statuses or variant.status in view.statuses)
    ]
    if view.best:
        scored = [variant for variant in found if variant.score is not None and variant.status == "evaluated"]
        scored.sort(key=lambda variant: (-(variant.score or 0.0), variant.step))
        best = {variant.id for variant in scored[: view.best]}
        found = [variant for variant in found if variant.id in best]
    return found
