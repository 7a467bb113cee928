"""What a program is measured with: benchmark packs, their data, grading, stages and statistics. Host only.

Import from the modules: ``pack`` (find and load packs), ``fetch`` (get their data), ``stages``, ``statistics``.
"""
