"""What acts on a cluster besides its router."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.engine.autoscaling import Autoscaling
from simulator.engine.failures import Failures
from simulator.engine.migration import Migration
from simulator.engine.power import PowerCapping
from simulator.engine.roles import RoleSwitching
from simulator.policies.admission import Admission


@dataclass(frozen=True, slots=True)
class Control:
    """Admission, autoscaling, failures, migration, a power budget, changes of role; None for what there is none of."""

    admission: Admission | None = None
    autoscaling: Autoscaling | None = None
    failures: Failures | None = None
    migration: Migration | None = None
    power: PowerCapping | None = None
    roles: RoleSwitching | None = None
