"""Fine-tuning of the local mutation model on the archive's own history: history and pairs, training, comparison.

Nothing here is imported by the engine. PyTorch and what goes with it are loaded by :mod:`hyperagent.distil.training`
alone, when something is trained.
"""
