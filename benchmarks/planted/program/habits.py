"""How this program asks for edits. It is part of what edits may change."""

CARE = 0
