"""What stands inside a sandbox beside the program. Standard library only; nothing of the engine is imported here.

The folder is mounted read-only and started by path (``runner.py``), so modules here reach each other relatively.
"""
