"""Set-up for every test: shapes in annotations are checked, idle threads sleep instead of spinning, no clock runs."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")

from hypothesis import settings
from jaxtyping import install_import_hook

install_import_hook(["tritcoder.ternary", "tritcoder.model"], "beartype.beartype")

settings.register_profile("clockless", deadline=None)
settings.load_profile("clockless")
