"""What variants have invented: found in their syntax trees, measured by their scores, moved into other programs.

Pure functions over programs (file -> bytes) and records; who reads archives and opens sandboxes stands above.
"""
