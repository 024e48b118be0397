"""Admission: an order that cannot end in time is refused before it is accepted.

`docs/decisions/0026-admission.md` has the reasons and the figures.
"""

from orderfleet_api.admission.admission import Admission, watched

__all__ = ["Admission", "watched"]
