"""The attacking program: run inside a sandbox as a task agent, from its files, standard library only.

Each attack is a function ``attack(given) -> list[str]``: what got through, in words; nothing where all was refused.
Every one is bounded and does no damage on a machine that lets it through: what would is asked for in a form that the
kernel refuses later, changes nothing, or is taken back.
"""
