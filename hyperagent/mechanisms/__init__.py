"""Meta agents that no variant can edit; files to be put beside a program, never imported by the engine."""
