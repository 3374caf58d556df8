"""`tritcoder doctor`: what this machine offers."""

import json
from importlib import metadata, util


def doctor() -> None:
    """Say what is installed, which kernels the engine has here, and which jail untrusted programs get."""
    from tritcoder import provenance
    from tritcoder.errors import SandboxError
    from tritcoder.sandbox.jail import best_level

    print(json.dumps({"versions": provenance.versions(), "machine": provenance.machine()}, indent=1))
    for extra, modules in _extras().items():
        missing = [module for module in modules if util.find_spec(module.partition(".")[0]) is None]
        print(f"extra {extra:<10} {'installed' if not missing else 'lacks ' + ', '.join(missing)}")
    print(f"engine           {_engine()}")
    try:
        print(f"sandbox level    {best_level()}")
    except SandboxError as error:
        print(f"sandbox level    none: {error.message}\n                 {error.hint}")


def _engine() -> str:
    """The kernels that this processor can run, best first, and how many threads they get."""
    from tritcoder.engine.settings import KERNEL_VARIABLE, asked_kernel, threads_for
    from tritcoder.errors import ConfigError

    if asked_kernel() == "numpy":
        return f"in numpy, slowly, as {KERNEL_VARIABLE} says"
    try:
        from tritcoder.engine.native import chosen_kernel, usable_kernels
    except ImportError as error:
        return f"in numpy, slowly: the kernels are not built ({error}); install again with a C++ compiler at hand"
    try:
        kernel, threads = chosen_kernel(), threads_for()
    except ConfigError as error:
        return f"none: {error.message}\n                 {error.hint}"
    others = ", ".join(name for name in usable_kernels() if name != kernel)
    return f"kernel {kernel} ({others} too), {threads} thread{'s' * (threads > 1)}"


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
