"""The doctor: which line of a program loses digits, forward or backward, and what cures it."""

from __future__ import annotations

from stablegrad.audit.findings import Audit, Cure, Finding, Total
from stablegrad.audit.measure import Counts
from stablegrad.audit.run import audit

__all__ = ["Audit", "Counts", "Cure", "Finding", "Total", "audit"]
