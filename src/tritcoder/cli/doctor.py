"""`tritcoder doctor`: what this machine offers."""

import json
from importlib import metadata, util


def doctor() -> None:
    """Say which parts are installed and which jail this machine gives to untrusted programs."""
    from tritcoder import provenance
    from tritcoder.errors import SandboxError
    from tritcoder.sandbox.jail import best_level

    print(json.dumps({"versions": provenance.versions(), "machine": provenance.machine()}, indent=1))
    for extra, modules in _extras().items():
        missing = [module for module in modules if util.find_spec(module.partition(".")[0]) is None]
        print(f"extra {extra:<10} {'installed' if not missing else 'lacks ' + ', '.join(missing)}")
    try:
        print(f"sandbox level    {best_level()}")
    except SandboxError as error:
        print(f"sandbox level    none: {error.message}\n                 {error.hint}")


def _extras() -> dict[str, list[str]]:
    """Import names that each extra brings."""
    names = metadata.packages_distributions()
    by_distribution = {dist.lower().replace("_", "-"): module for module, dists in names.items() for dist in dists}
    wanted = {
        "train": ["torch", "safetensors"],
        "data": ["pyarrow", "huggingface-hub"],
        "eval": ["sacrebleu", "pyseccomp"],
        "baselines": ["transformers", "google-genai", "openai"],
        "report": ["matplotlib", "jinja2"],
    }
    return {
        extra: [by_distribution.get(name, name.replace("-", "_")) for name in distributions]
        for extra, distributions in wanted.items()
    }
