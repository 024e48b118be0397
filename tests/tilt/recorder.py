"""Evaluates the Tiltfile with a Starlark interpreter whose built-ins record their arguments.

They take the arguments that Tilt 0.37 takes, and no others. Charts are really rendered; nothing is
written, built or sent anywhere.
"""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import starlark
import yaml

from k8s.dev_secrets import PASSWORDS
from tests.chart.rendering import ROOT, Object

# The interpreter accepts functions, but no modules of functions.
_CONFIG: Final = """
config = struct(
    define_bool=config_define_bool,
    define_string=config_define_string,
    define_string_list=config_define_string_list,
    parse=config_parse,
    tilt_subcommand=config_tilt_subcommand,
)
"""
# The only file that is generated when missing, and that git ignores.
_PASSWORDS: Final = "k8s/overlays/dev/postgres.env"


@dataclass
class Image:
    ref: str
    command: list[str]
    deps: list[str]
    env: dict[str, str]
    live_update: list[dict[str, str]]
    skips_local_docker: bool


@dataclass
class Resource:
    name: str
    workload: str = ""
    command: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    objects: list[str] = field(default_factory=list)
    port_forwards: list[dict[str, Any]] = field(default_factory=list)
    resource_deps: list[str] = field(default_factory=list)
    trigger_mode: str = "auto"
    auto_init: bool = True


@dataclass
class Tilt:
    """What a Tiltfile declares."""

    context: str
    defined: dict[str, type] = field(default_factory=dict)
    allowed: list[str] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)
    objects: list[Object] = field(default_factory=list)
    resources: dict[str, Resource] = field(default_factory=dict)
    commands: list[list[str]] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
    switches: list[str] = field(default_factory=list)


def evaluate(
    config: Mapping[str, Any] | None = None,
    *,
    context: str = "kind-kind",
    subcommand: str = "up",
) -> Tilt:
    """Evaluate the Tiltfile with a tilt_config.json of this content.

    Raises:
        starlark.StarlarkError: it does not evaluate, or it calls fail().
    """
    tilt = Tilt(context)
    _run(ROOT / "Tiltfile", _Builtins(tilt, config or {}), subcommand)
    return tilt


def _run(path: Path, builtins: "_Builtins", subcommand: str) -> starlark.Module:
    module = starlark.Module()
    for name in dir(builtins):
        if not name.startswith("_"):
            module.add_callable(name, getattr(builtins, name))
    module["TRIGGER_MODE_AUTO"] = "auto"
    module["TRIGGER_MODE_MANUAL"] = "manual"
    module["config_tilt_subcommand"] = subcommand

    def load(name: str) -> starlark.FrozenModule:
        # Anything else would be an extension, downloaded from the internet.
        assert name.startswith("./"), f"{path}: {name}"
        return _run((path.parent / name).resolve(), builtins, subcommand).freeze()

    known = starlark.Globals.extended_by([starlark.LibraryExtension.StructType])
    for name, text in (("config", _CONFIG), (str(path), path.read_text())):
        ast = starlark.parse(name, text, starlark.Dialect.standard())
        starlark.eval(module, ast, known, starlark.FileLoader(load))
    return module


class _Builtins:
    """Tilt's functions, by their names and with their parameters' names."""

    def __init__(self, tilt: Tilt, config: Mapping[str, Any]) -> None:
        self._tilt = tilt
        self._config = config

    def _define(self, name: str, kind: type) -> None:
        assert name not in self._tilt.defined
        self._tilt.defined[name] = kind

    def config_define_bool(self, name: str, *, usage: str) -> None:
        self._define(name, bool)

    def config_define_string(self, name: str, *, usage: str) -> None:
        self._define(name, str)

    def config_define_string_list(self, name: str, *, usage: str) -> None:
        self._define(name, list)

    def config_parse(self) -> dict[str, Any]:
        for name, value in self._config.items():
            assert isinstance(value, self._tilt.defined[name]), name
        return dict(self._config)

    def allow_k8s_contexts(self, contexts: str) -> None:
        self._tilt.allowed.append(contexts)

    def k8s_context(self) -> str:
        return self._tilt.context

    def custom_build(
        self,
        ref: str,
        command: list[str],
        *,
        deps: list[str],
        env: dict[str, str],
        live_update: list[dict[str, str]],
        skips_local_docker: bool,
    ) -> None:
        self._tilt.images.append(Image(ref, command, deps, env, live_update, skips_local_docker))

    def sync(self, local_path: str, remote_path: str) -> dict[str, str]:
        return {"local": local_path, "remote": remote_path}

    def helm(
        self,
        paths: str,
        *,
        name: str,
        namespace: str,
        values: list[str],
        set: list[str],  # noqa: A002
    ) -> str:
        self._tilt.values.extend(values)
        self._tilt.switches.extend(set)
        return _helm(paths, name, namespace, tuple(values), tuple(set))

    def local(self, command: list[str], *, quiet: bool, echo_off: bool) -> str:
        self._tilt.commands.append(command)
        return ""

    def read_file(self, file_path: str) -> str:
        if file_path == _PASSWORDS:
            return "".join(f"{name}-password=x\n" for name in PASSWORDS)
        return (ROOT / file_path).read_text()

    def read_yaml(self, path: str) -> Any:
        (manifest,) = _parse(self.read_file(path))
        return manifest

    def read_yaml_stream(self, path: str) -> list[Object]:
        return _parse(self.read_file(path))

    def decode_yaml_stream(self, yaml: str) -> list[Object]:
        return _parse(yaml)

    def encode_yaml_stream(self, objs: list[Object]) -> str:
        return _text(objs)

    def k8s_yaml(self, yaml: str | list[str]) -> None:
        for text in [yaml] if isinstance(yaml, str) else yaml:
            self._tilt.objects.extend(_parse(text))

    def k8s_resource(
        self,
        workload: str = "",
        *,
        new_name: str = "",
        labels: Sequence[str],
        objects: Sequence[str],
        port_forwards: Sequence[dict[str, Any]] = (),
        resource_deps: Sequence[str] = (),
        trigger_mode: str = "auto",
    ) -> None:
        self._add(
            Resource(
                new_name or workload,
                workload=workload,
                labels=list(labels),
                objects=list(objects),
                port_forwards=list(port_forwards),
                resource_deps=list(resource_deps),
                trigger_mode=trigger_mode,
            )
        )

    def port_forward(
        self, local_port: int, container_port: int, *, name: str = "", link_path: str = ""
    ) -> dict[str, Any]:
        return {"local": local_port, "container": container_port, "link": name, "path": link_path}

    def local_resource(
        self,
        name: str,
        cmd: list[str],
        *,
        env: dict[str, str],
        allow_parallel: bool,
        auto_init: bool,
        labels: Sequence[str],
        resource_deps: Sequence[str],
        trigger_mode: str,
    ) -> None:
        self._add(
            Resource(
                name,
                command=cmd,
                env=env,
                labels=list(labels),
                resource_deps=list(resource_deps),
                trigger_mode=trigger_mode,
                auto_init=auto_init,
            )
        )

    def _add(self, resource: Resource) -> None:
        assert resource.name not in self._tilt.resources
        self._tilt.resources[resource.name] = resource


def _parse(text: str) -> list[Object]:
    return [manifest for manifest in yaml.load_all(text, yaml.CSafeLoader) if manifest]


def _text(objects: list[Object]) -> str:
    text: str = yaml.safe_dump_all(objects)
    return text


@cache
def _helm(
    chart: str, name: str, namespace: str, values: tuple[str, ...], switches: tuple[str, ...]
) -> str:
    """Render as Tilt's helm() does: without the tests, with the namespace in each object."""
    arguments = [f"--values={file}" for file in values] + [f"--set={switch}" for switch in switches]
    done = subprocess.run(
        ["helm", "template", name, chart, "--namespace", namespace, "--skip-tests", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    objects = _parse(done.stdout)
    for found in objects:
        found["metadata"].setdefault("namespace", namespace)
    return _text(objects)
