"""The fixed task metrics: what a trained policy is judged by, whatever reward it was trained with."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from robots import Trajectory

STANDING = 1.25
"""Height of the hopper's torso when it stands, m."""
HOP_WINDOW = 1.0
"""A second: hops are looked for in pieces of an episode of this length."""


def forward_velocity(episode: Trajectory, steps: int) -> float:
    """Mean velocity along x over the whole episode, m/s."""
    dt = float(episode.column("dt")[0])
    return float(episode.positions[-1] - episode.positions[0]) / (steps * dt)


def backward_velocity(episode: Trajectory, steps: int) -> float:
    """Mean velocity against x over the whole episode, m/s."""
    return -forward_velocity(episode, steps)


def hop_height(episode: Trajectory, steps: int) -> float:
    """How far the torso rises above standing height while nothing touches the ground, m.

    The episode is cut into seconds; each counts with the highest point of its flight, 0 where the robot did not
    leave the ground, did not rise, or did not stay upright to the second's end. The mean over all seconds that were
    asked for: one great leap and a fall is worth less than hopping on.
    """
    width = round(HOP_WINDOW / float(episode.column("dt")[0]))
    in_flight = 1.0 - episode.column("ground_contact")
    rise = (episode.column("height") - STANDING) * in_flight * episode.column("healthy")
    seconds = steps // width
    # An episode that ended early has no whole last second: it and all that follow count 0.
    whole = min(episode.steps // width, seconds)
    if episode.steps < steps and whole and episode.column("healthy")[whole * width - 1] == 0.0:
        whole -= 1
    peaks = (max(0.0, float(rise[i * width : (i + 1) * width].max())) for i in range(whole))
    return sum(peaks) / seconds


METRICS: Mapping[str, Callable[[Trajectory, int], float]] = {
    "forward_velocity": forward_velocity,
    "backward_velocity": backward_velocity,
    "hop_height": hop_height,
}
"""Name -> ``(episode, steps that were asked for) -> metric``; higher is better."""
