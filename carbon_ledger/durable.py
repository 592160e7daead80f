"""Files that must be there after the power went: what fsync of the file alone does not promise.

Belongs here: the folder's own fsync. Does not: who writes what.
"""

from __future__ import annotations

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """The names in `folder` are on disk: a file that was made, renamed or removed stays so."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
