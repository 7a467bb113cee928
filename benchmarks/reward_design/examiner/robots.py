"""The robots: MuJoCo models out of gymnasium's wheel, stepped as its environments HalfCheetah-v5 and Hopper-v5 do.

The models are stepped through ``mujoco`` itself: the same states come out (a test compares them), and no wrapper's work
is done between steps. Only :class:`Trajectory` leaves a simulation, and of it only copies.
"""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["MUJOCO_GL"] = "disable"  # before the import: nothing is drawn, and a sandbox has no display to look for
import mujoco
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Policy = Callable[[Floats, float], Floats]
"""Observation and seconds since the episode began -> action; the robot clips actions to [-1, 1]."""

SENSORS = ("time", "dt", "x_velocity", "z_velocity", "height", "pitch", "ground_contact", "healthy")
"""Members of ``info`` in the columns of :attr:`Trajectory.sensors`; the last two are 0 or 1."""


@dataclass(frozen=True)
class Kind:
    """What differs between robots.

    Attributes:
        model: File among the assets of ``gymnasium.envs.mujoco``.
        timestep: Of the physics, s.
        frame_skip: Physics steps per action.
        integrator: As MuJoCo names it.
        noise: Start positions differ from the model's by up to this (uniform; m, rad).
        velocity_noise: Start velocities: ``normal`` or ``uniform`` noise of the same scale.
        velocity_bound: Observed velocities are clipped to plus or minus this.
        falls: Whether an episode ends once the robot is unhealthy.
        watched: Observations that the policy is given, by index.
        rest: The watched ones of a robot at rest; subtracted from them.
        scale: Divisors that then bring them to about [-1, 1]: the policy's fixed normalisation.
        clock: The policy's own rhythm, Hz.
    """

    model: str
    timestep: float
    frame_skip: int
    integrator: str
    noise: float
    velocity_noise: str
    velocity_bound: float
    falls: bool
    watched: tuple[int, ...]
    rest: tuple[float, ...]
    scale: tuple[float, ...]
    clock: float


KINDS = {
    "half_cheetah": Kind(
        model="half_cheetah.xml",
        timestep=0.01,
        frame_skip=5,
        integrator="mjINT_EULER",
        noise=0.02,  # a tenth, as in the environment, tips the robot over by chance
        velocity_noise="normal",
        velocity_bound=math.inf,
        falls=False,
        watched=(0, 1, 8, 9, 10),
        rest=(0.0,) * 5,
        scale=(0.3, 0.6, 4.0, 2.0, 4.0),
        clock=3.0,
    ),
    "hopper": Kind(
        model="hopper.xml",
        # The model's own RK4 at 2 ms takes five times as long for each second of simulated time.
        timestep=0.0025,
        frame_skip=8,
        integrator="mjINT_IMPLICITFAST",
        noise=5e-3,
        velocity_noise="uniform",
        velocity_bound=10.0,
        falls=True,
        watched=tuple(range(11)),
        rest=(1.25,) + (0.0,) * 10,
        scale=(0.3, 0.2, 0.6, 0.6, 0.6, 2.0, 2.0, 2.0, 6.0, 6.0, 6.0),
        clock=1.5,
    ),
}


@dataclass(frozen=True)
class Trajectory:
    """One episode of T actions, at most as many as were asked for.

    Attributes:
        observations: (T + 1, n), the first one before the first action.
        actions: (T, m), in [-1, 1].
        sensors: (T, len(SENSORS)), after each action.
        positions: (T + 1,) way of the torso along x, m. Never shown to a reward.
    """

    observations: Floats
    actions: Floats
    sensors: Floats
    positions: Floats

    def column(self, name: str) -> Floats:
        """One sensor over time, (T,)."""
        return self.sensors[:, SENSORS.index(name)]

    @property
    def steps(self) -> int:
        return len(self.actions)


class Robot:
    """One simulation of a robot. Not for two threads at a time."""

    def __init__(self, name: str) -> None:
        self.kind = KINDS[name]
        self._model: Any = mujoco.MjModel.from_xml_path(str(_assets() / self.kind.model))
        self._model.opt.timestep = self.kind.timestep
        self._model.opt.integrator = getattr(mujoco.mjtIntegrator, self.kind.integrator)
        self._data: Any = mujoco.MjData(self._model)
        # Views of the simulation's own memory: asking for them at every step would take longer than the physics.
        self._qpos: Floats = self._data.qpos
        self._qvel: Floats = self._data.qvel
        self._floor: int = mujoco.mj_name2id(self._model, mujoco.mjtObj.mjOBJ_GEOM, "floor")
        self._start: Floats = self._qpos.copy()
        self.dt: float = self.kind.timestep * self.kind.frame_skip
        self.observation_size: int = self._model.nq - 1 + self._model.nv
        self.action_size: int = self._model.nu

    def start(self, random_seed: int | tuple[int, ...]) -> tuple[Floats, Floats]:
        """Positions (nq,) and velocities (nv,) to start from; equal seeds give equal ones."""
        random = np.random.default_rng(random_seed)
        noise, size = self.kind.noise, self._model.nv
        positions = self._start + random.uniform(-noise, noise, self._model.nq)
        uniform = self.kind.velocity_noise == "uniform"
        return positions, random.uniform(-noise, noise, size) if uniform else noise * random.standard_normal(size)

    def run(self, policy: Policy, start: tuple[Floats, Floats], steps: int) -> Trajectory:
        """One episode of at most ``steps`` actions."""
        model, data, skip, dt = self._model, self._data, self.kind.frame_skip, self.dt
        qpos, qvel, ctrl = self._qpos, self._qvel, data.ctrl
        mujoco.mj_resetData(model, data)
        qpos[:], qvel[:] = start
        mujoco.mj_forward(model, data)
        observations = np.empty((steps + 1, self.observation_size))
        actions = np.empty((steps, self.action_size))
        sensors = np.empty((steps, len(SENSORS)))
        positions = np.empty(steps + 1)
        observations[0], positions[0] = self._observe(), qpos[0]
        done = 0
        while done < steps:
            actions[done] = ctrl[:] = np.minimum(np.maximum(policy(observations[done], done * dt), -1.0), 1.0)
            mujoco.mj_step(model, data, nstep=skip)
            done += 1
            observations[done], positions[done] = self._observe(), qpos[0]
            healthy = self._healthy()
            moved = (positions[done] - positions[done - 1]) / dt
            sensors[done - 1] = (done * dt, dt, moved, qvel[1], qpos[1], qpos[2], self._touches(), healthy)
            if self.kind.falls and not healthy:
                break
        return Trajectory(observations[: done + 1], actions[:done], sensors[:done], positions[: done + 1])

    def _observe(self) -> Floats:
        bound, velocities = self.kind.velocity_bound, self._qvel
        if bound != math.inf:
            velocities = np.minimum(np.maximum(velocities, -bound), bound)
        return np.concatenate((self._qpos[1:], velocities))

    def _touches(self) -> bool:
        """Whether any part of the robot is on the ground; parts that touch each other do not count."""
        return self._data.ncon > 0 and any(self._floor in (one.geom1, one.geom2) for one in self._data.contact)

    def _healthy(self) -> bool:
        """Upright, as the environment defines it; a robot that cannot fall counts as healthy on its feet."""
        z, pitch = self._qpos[1], self._qpos[2]
        if not self.kind.falls:
            return bool(abs(pitch) < math.pi / 2)
        # The environment's bound of 100 on all other states is far out of reach of these motors.
        return bool(z > 0.7 and abs(pitch) < 0.2)


def _assets() -> Path:
    # Found without importing the package: nothing but these files is needed of it.
    spec = importlib.util.find_spec("gymnasium")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("gymnasium is not installed: the examiner's packages are pinned in benchmark.toml")
    return Path(spec.submodule_search_locations[0]) / "envs" / "mujoco" / "assets"
