"""Cold start: what importing the functions takes, beside a package made without any thought of it.

The naive package has no compiled files of its own and of its requirements, and imports what the functions may need one day. What Chalice
packages by itself has no compiled files either. Both import all of ours for every function, with the collector at work; ours is packaged
with compiled files, and imports what the function needs. All import from this environment.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping

from tests.support.stack import ROOT

NOT_MEASURED = "the package itself (download, Lambda's storage), Lambda's own runtime, the first call with its connections"
NAIVE = "import kafka, alembic, alembic.command, alembic.config, boto3; boto3.client('secretsmanager', region_name='ap-southeast-1')"
# Of what is imported from the given folders, nothing is taken from compiled files.
FROM_SOURCE = """
import importlib.machinery as machinery
compiled = machinery.SourceFileLoader.get_code
def get_code(loader, name):
    path = loader.get_filename(name)
    if "site-packages" not in path and not path.startswith({root!r}):
        return compiled(loader, name)
    return loader.source_to_code(loader.get_data(path), path)
machinery.SourceFileLoader.get_code = get_code
"""
MEASURED = """
import json, time
{before}
cpu = time.process_time()
import app
{after}
cpu_ms = (time.process_time() - cpu) * 1000
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({{"cpu_ms": cpu_ms, "mb": int(peak.split()[1]) * 1.024 / 1000}}))
"""
# As if app.py left the collector alone.
COLLECTING = "import gc; gc.disable = gc.freeze = lambda: None\n"
PLAIN = FROM_SOURCE.format(root=str(ROOT)) + COLLECTING
# Handler (none: everything is imported), what comes before the import, and what after it.
VARIANTS: Mapping[str, tuple[str, str, str]] = {
    "naive": ("", PLAIN, NAIVE),
    "chalice": ("", PLAIN, ""),
    "compiled": ("", COLLECTING, ""),
    "http": ("app.app", "", ""),
    "replies": ("app.on_user_events", "", ""),
    "schedules": ("app.sweep_timeouts", "", ""),
    "authorizer": ("app.token_auth", "", ""),
}


def imported(variant: str) -> Mapping[str, float]:
    """Processor milliseconds and peak megabytes of one import in a process of its own."""
    handler, before, after = VARIANTS[variant]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED.format(before=before, after=after)],
        cwd=ROOT / "orders_app",
        env={"PATH": os.environ.get("PATH", os.defpath), "_HANDLER": handler, "POWERTOOLS_METRICS_DISABLED": "true"},
        capture_output=True,
        text=True,
        check=True,
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures
