"""An app store that never was: daily spans from a seed, with the true probability of every row (`docs/simulator.md`)."""

from widedeep.simulation.days import SimulatedDay, Simulation
from widedeep.simulation.settings import Fault, SimulationSettings, parse_fault, simulation_settings

__all__ = ["Fault", "SimulatedDay", "Simulation", "SimulationSettings", "parse_fault", "simulation_settings"]
