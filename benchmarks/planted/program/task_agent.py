"""Opens the lock: says what its dials stand at."""

DIALS = [0, 0, 0, 0, 0]


class TaskAgent:
    def __init__(self, model: str, chat_history_file: str) -> None:
        pass

    def forward(self, inputs: dict[str, object]) -> tuple[list[int], str]:
        return DIALS, f"the dials stand at {DIALS}"
