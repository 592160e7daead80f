"""Importing this keeps Dagster's notices of beta, preview and superseded interfaces out of a log.

Belongs here: that filter, for the processes of the stack. Does not: any other warning; those show.
"""

from __future__ import annotations

import warnings

import dagster

for _category in (dagster.BetaWarning, dagster.PreviewWarning, dagster.SupersessionWarning):
    warnings.simplefilter("ignore", _category)
