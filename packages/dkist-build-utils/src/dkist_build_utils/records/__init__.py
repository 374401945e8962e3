"""The record of a run: read from what attempts left, and made into a Workflow Run RO-Crate, PROV-JSON and a picture."""

from __future__ import annotations

from dkist_build_utils.records.attempt import Declaration, RecordedAttempt
from dkist_build_utils.records.crate import crate_metadata, write_crate
from dkist_build_utils.records.picture import record_svg
from dkist_build_utils.records.prov import prov_document
from dkist_build_utils.records.run import RunRecord, read_run

__all__ = [
    "Declaration",
    "RecordedAttempt",
    "RunRecord",
    "crate_metadata",
    "prov_document",
    "read_run",
    "record_svg",
    "write_crate",
]
