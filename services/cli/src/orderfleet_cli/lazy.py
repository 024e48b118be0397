"""Modules that are loaded when they are first used.

`orderfleet --help` needs the signatures of all commands and none of their work: Temporal's SDK and
asyncpg take half a second to import. A module of signatures says

    if TYPE_CHECKING:
        from orderfleet_cli import ordering
    else:
        ordering = lazy("orderfleet_cli.place")

and the type checker sees a plain import.
"""

import sys
from importlib.util import LazyLoader, find_spec, module_from_spec
from types import ModuleType


def lazy(name: str) -> ModuleType:
    """Return the module; its code runs at the first access to an attribute.

    It must be a plain module: a package that imports from itself is not ready when it does.
    """
    if name in sys.modules:
        return sys.modules[name]
    spec = find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(name)
    loader = LazyLoader(spec.loader)
    spec.loader = loader
    module = module_from_spec(spec)
    sys.modules[name] = module
    loader.exec_module(module)
    return module
