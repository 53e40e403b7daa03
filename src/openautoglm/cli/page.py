"""The page that `make run` ends with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.cli.verify import Facts
from openautoglm.config.project import Project

_SHOWN_REJECTIONS = 6
