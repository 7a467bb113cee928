"""Random sequences of operations, with reopening in between, against a small model of what must be there."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hyperagent.archive import open_archive
from hyperagent.types import CallKey, ModelCall, Outcome, SandboxInfo, Spend, Variant

CONTENT = st.binary(max_size=20)
FINAL = st.sampled_from(["evaluated", "screened_out", "no_effect", "duplicate", "invalid"])
ANY_TEXT = st.text(st.characters(), max_size=8)


class Life(RuleBasedStateMachine):
    """One campaign of an archive that is closed and opened again at random."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.home = Path(self.folder.name) / "home"
        self.archive = open_archive(self.home, write=True, create=True)
        self.campaign = self.archive.create_campaign("demo", 1, {}).id
        self.open: list[Variant] = []
        self.programs: dict[str, dict[str, bytes]] = {}
        self.finished: dict[str, Variant] = {}
        self.outcomes: dict[int, dict[str, Outcome]] = {}
        self.reserved: list[ModelCall] = []
        self.settled = Spend()
        self.step = 0

    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        parents = [one.id for one in self.archive.variants("demo") if one.commit]
        parent = data.draw(st.sampled_from(parents)) if parents else None
        self.open.append(self.archive.start_step("demo", self.step, parent, {"n": self.step}))
        self.step += 1

    @precondition(lambda self: any(not one.commit for one in self.open))
    @rule(tree=st.dictionaries(st.sampled_from(["a", "b/c", "b/d/e", "ä.py"]), CONTENT), message=ANY_TEXT)
    def commit(self, tree: dict[str, bytes], message: str) -> None:
        at = next(at for at, one in enumerate(self.open) if not one.commit)
        self.open[at] = self.archive.commit_program(self.open[at].id, tree, message)
        self.programs[self.open[at].id] = tree
        assert self.open[at].tree == self.archive.tree_id(tree)

    @precondition(lambda self: any(one.commit for one in self.open))
    @rule(tasks=st.lists(st.sampled_from("pqrs"), unique=True, min_size=1), text=ANY_TEXT)
    def evaluate(self, tasks: list[str], text: str) -> None:
        variant = next(one for one in self.open if one.commit)
        running = self.archive.start_evaluation(
            variant.id, "math", "train", tasks, 0, "-".join(tasks), SandboxInfo("process", "none")
        )
        known = self.outcomes.setdefault(running.id, {})
        for task in running.tasks:
            if task not in known:
                known[task] = Outcome(task, "scored", 1 / len(tasks), text, spend=Spend(1, 0, 1, 1, 0.1))
                self.archive.add_outcome(running.id, known[task])
                break

    @precondition(lambda self: self.open)
    @rule(status=FINAL, reason=ANY_TEXT, score=st.none() | st.floats(0, 1))
    def finish(self, status: str, reason: str, score: float | None) -> None:
        variant = self.open.pop(0)
        if not variant.commit:
            status = "invalid"
        done = self.archive.finish_variant(variant.id, status, score=score, reason=reason)  # type: ignore[arg-type]
        self.finished[done.id] = done

    @rule(tokens=st.integers(1, 1000), sequence=st.integers(0, 3))
    def reserve(self, tokens: int, sequence: int) -> None:
        key = CallKey("job", "task", sequence)
        call = ModelCall(key, self.campaign, "v", "evaluate", "m", f"h{sequence}", "reserved", tokens, tokens, 0.0)
        self.archive.reserve_call(call)
        self.reserved.append(call)

    @precondition(lambda self: self.reserved)
    @rule(share=st.floats(0, 1), cached=st.booleans(), reply=CONTENT)
    def settle(self, share: float, cached: bool, reply: bytes) -> None:
        call = self.reserved.pop()  # the newest of its key, as the contract says
        used = int(call.prompt_tokens * share)
        done = replace(call, state="settled", prompt_tokens=used, completion_tokens=used, cached=cached)
        self.archive.settle_call(done, b"request", reply)
        self.settled += Spend(cached_calls=1) if cached else Spend(1, 0, used, used)
        found = self.archive.recorded_call(call.key)
        assert found is not None
        assert found.state == "settled"

    @rule()
    def reopen(self) -> None:
        self.archive.close()
        self.archive = open_archive(self.home, write=True)
        assert self.archive.recover() == []

    @invariant()
    def everything_is_as_it_was_left(self) -> None:
        worst = sum((Spend(1, 0, one.prompt_tokens, one.completion_tokens) for one in self.reserved), Spend())
        assert self.archive.spend(self.campaign) == self.settled + worst
        for variant in self.finished.values():
            assert self.archive.variant(variant.id) == variant
        for evaluation, known in self.outcomes.items():
            assert {one.task: one for one in self.archive.outcomes(evaluation)} == known
        for variant in self.archive.variants("demo"):
            assert self.archive.variant(f"demo/{variant.step}") == variant
            if variant.commit:
                assert self.archive.read_tree(variant.commit) == self.programs[variant.id]

    def teardown(self) -> None:
        if hasattr(self, "archive"):
            assert self.archive.verify() == []
            self.archive.close()
            self.folder.cleanup()


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=12, stateful_step_count=20, deadline=None, derandomize=True)
