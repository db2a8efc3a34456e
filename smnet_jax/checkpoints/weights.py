"""Weights as a small directory: `params.safetensors` with the arrays, `smnet.json` with what they are and whence.

The arrays lie there in our own layout by path ("stem/conv/kernel"); they load anywhere, on any number of devices.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smnet_jax.checkpoints import formats, hub, runs, torch_names, trees
from smnet_jax.checkpoints.architecture import BLOCKS, VARIANTS, Architecture
from smnet_jax.checkpoints.check import check
from smnet_jax.errors import InputError
from smnet_jax.host import places
from smnet_jax.host.atomic_files import new_folder
from smnet_jax.version import __version__

if TYPE_CHECKING:
    from smnet_jax.exposure.network import ExposureNet
    from smnet_jax.network.model import SMNet

FORMAT, VERSION = "smnet-jax weights", 1
DEFAULT = "photo"  # what enhances where nobody names weights
ARRAYS, DESCRIPTION = "params.safetensors", "smnet.json"
MAX_DESCRIPTION = 1 << 20  # bytes
MAX_BLOCKS = 64
MAKE_AGAIN = "make it again: copy it whole, or convert the PyTorch checkpoint that it came from"
BUNDLED = Path(__file__).parents[1] / "bundled"


@dataclass(frozen=True)
class Weights:
    """Weights in memory: `params` is the collection "params" of `SMNet`, float32; `about` says where they come from."""

    architecture: Architecture
    params: dict[str, Any]
    about: dict[str, Any] = field(default_factory=dict)


def load(
    source: str | os.PathLike[str], *, key: str | None = None, **fields: Any
) -> "tuple[SMNet | ExposureNet, dict[str, Any]]":
    """Load a model with its weights: `model, variables = load("photos.pth")`, then `model.apply(variables, low)`.

    `source` is the name of bundled weights (`bundled()` lists them), a directory made by `smnet convert`, a training
    run, a PyTorch or safetensors checkpoint, each of these in a bucket (gs://...), or hf://OWNER/NAME[@REVISION] on the
    Hugging Face Hub. Of several state dicts in one file `key` names the one wanted (default: the averaged weights). The
    model is an `SMNet`, or for "photo" an `ExposureNet`, which has no fields to set. `fields` are those of `SMNet` that
    the weights leave open:
    dtype, precision, implementation, blocks ... The parameters are float32 arrays on the default device.
    Raises InputError where the source cannot be used or contradicts a field.
    """
    import jax
    import jax.numpy as jnp

    from smnet_jax.network.model import SMNet

    if is_exposure(source):
        from smnet_jax.checkpoints import exposure

        if fields:
            raise InputError(f"{source}: {next(iter(fields))} is a field of SMNet, and these weights are ExposureNet's")
        return exposure.load(_folder(source))
    weights = read(source, key=key)
    for name in ("variant", "width"):
        if name in fields and fields[name] != getattr(weights.architecture, name):
            found = getattr(weights.architecture, name)
            raise InputError(
                f"{source}: is of {name} {found}, not {fields[name]}; leave {name} out or load another file"
            )
    model = SMNet(**{**vars(weights.architecture), **fields})
    return model, {"params": jax.tree.map(jnp.asarray, weights.params)}


def bundled() -> list[str]:
    """The names of the weights that ship with this package."""
    return sorted(path.parent.name for path in BUNDLED.glob(f"*/{DESCRIPTION}"))


def is_exposure(source: str | os.PathLike[str]) -> bool:
    """Whether `source` names a directory of weights for `ExposureNet`, judged by its description alone."""
    path = _folder(source) / DESCRIPTION
    return path.is_file() and read_description(path).get("network") == "exposure"


def _folder(source: str | os.PathLike[str]) -> Path:
    if isinstance(source, str) and source.startswith(hub.PREFIX):
        return hub.fetch(source, DESCRIPTION, ARRAYS)
    if places.is_remote(source) or (isinstance(source, str) and places.has_scheme(source)):
        return _fetch(places.place(source))
    return BUNDLED / source if isinstance(source, str) and source in bundled() else Path(source)


def _fetch(remote: Path) -> Path:
    """A copy on this machine of weights in a bucket: a directory, a run with its results, or a checkpoint file."""
    with places.reached(remote):
        for folder in (remote, remote / "weights"):
            if (folder / DESCRIPTION).exists():
                return places.download(folder, (DESCRIPTION, ARRAYS))
        if remote.exists() and not remote.is_dir():
            return places.download(remote, ()) / remote.name
    raise InputError(
        f"{remote}: there are no weights here; give a folder with {DESCRIPTION}, a run that has ended, or a file; "
        "copy a checkpoint of a run to this machine first"
    )


def read(source: str | os.PathLike[str], *, blocks: int | None = None, key: str | None = None) -> Weights:
    """Read weights from a bundled name, a converted directory, a checkpoint, a training run and its checkpoints, or the
    Hugging Face Hub (hf://OWNER/NAME[@REVISION]); nothing touches a device.

    Of a run its weights/ are taken, or the newest checkpoint where it has not ended.

    A checkpoint does not show how often the network runs its block: `blocks` says it where it is not three times.
    Raises InputError.
    """
    path = _folder(source)
    if is_exposure(path):
        raise InputError(
            f"{source}: weights of ExposureNet, which enhances photographs; here SMNet's are needed, lol-small say"
        )
    if path.is_file():
        return _read_checkpoint(path, blocks, key)
    if key is not None:
        raise InputError(f"{source}: --key chooses within a checkpoint file; leave it out")
    if path.is_dir():
        found = path if (path / DESCRIPTION).is_file() else runs.results(path) or path
        if found != path:
            logging.getLogger("smnet_jax").warning(
                "%s: a training run; read from its %s", path, found.relative_to(path)
            )
        weights = _read_run(found) if (found / runs.METADATA).is_file() else _read_directory(found)
        architecture = replace(weights.architecture, blocks=blocks or weights.architecture.blocks)
        return replace(weights, architecture=architecture)
    names = ", ".join(bundled()) or "none in this version"
    raise InputError(
        f"{source}: there is no such file or directory, nor bundled weights of this name ({names}); "
        "give a .pth, a .safetensors or a directory made by smnet convert"
    )


def _read_checkpoint(path: Path, blocks: int | None, key: str | None) -> Weights:
    file = formats.read(path, key)
    for note in file.chosen:  # without a handler of the user's own Python writes warnings to stderr
        logging.getLogger("smnet_jax").warning("%s: %s", path, note)
    said = file.metadata.get("blocks")  # our own safetensors say it
    if said is not None and not (re.fullmatch("[1-9][0-9]?", said) and int(said) <= MAX_BLOCKS):
        raise InputError(f"{path}: its metadata says blocks={said[:20]!r}; write a number from 1 to {MAX_BLOCKS} there")
    if blocks:
        number, whence = blocks, "as asked"
    elif said:
        number, whence = int(said), "from the file"
    else:
        number, whence = BLOCKS, "as published"
    result = torch_names.convert(file.state, blocks=number, source=str(path))
    about = {
        "source": {"name": path.name, "sha256": sha256(path), "format": file.kind},
        "blocks_known": whence,
        "dropped": list(result.dropped),
        "unused": list(result.unused),
        "notes": list(file.notes),
    }
    return Weights(result.architecture, result.params, about)


def save(
    directory: str | os.PathLike[str],
    architecture: Any,
    params: Mapping[str, Any],
    about: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write weights as a directory, whole or not at all, in place of older weights there; returns the description.

    `architecture` is an `Architecture` or an `SMNet`; `params` its collection "params"; `about` is any JSON worth
    keeping, usually {"source": {"name": ...}}.
    Raises InputError where the parameters do not fit, or `directory` holds anything but weights.
    """
    flat = trees.flatten(params)
    check(flat, architecture, source=str(directory))
    kind = {"variant": architecture.variant, "width": architecture.width, "blocks": architecture.blocks}
    return write_directory(places.place(directory), flat, kind, about)


def write_directory(
    directory: Path, flat: Mapping[str, Any], kind: Mapping[str, Any], about: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Write arrays by path with their description, whole or not at all; `kind` says which network they are for.

    In a bucket, which cannot exchange two objects at once, the description comes last: it tells the arrays' hash.
    """
    if places.is_remote(directory):
        with tempfile.TemporaryDirectory(prefix="smnet-") as folder:
            local = Path(folder, directory.name)
            description = write_directory(local, flat, kind, about)
            with places.reached(directory):
                _check_replaceable(directory)
            for name in (ARRAYS, DESCRIPTION):
                places.upload(local / name, directory / name)
        return description
    _check_replaceable(directory)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        new = new_folder(directory)
    except OSError as error:
        raise InputError(f"{directory}: cannot be written ({error.strerror}); choose a folder that can") from error
    try:
        formats.write_safetensors(flat, new / ARRAYS)
        description = {
            "format": FORMAT,
            "version": VERSION,
            **kind,
            "parameters": sum(array.size for array in flat.values()),
            "sha256": sha256(new / ARRAYS),
            "written_by": f"smnet-jax {__version__}",
        }
        description |= {name: value for name, value in (about or {}).items() if name not in description}
        (new / DESCRIPTION).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
        _put_in_place(new, directory)
    except OSError as error:
        raise InputError(f"{directory}: cannot be written ({error.strerror}); make room or choose another") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return description


def _check_replaceable(directory: Path) -> None:
    if directory.is_dir():
        strangers = sorted(path.name for path in directory.iterdir() if path.name not in (ARRAYS, DESCRIPTION))
        if strangers:
            raise InputError(f"{directory}: holds {strangers[0]}, which is no part of weights; choose another folder")
    elif directory.exists() or (not places.is_remote(directory) and directory.is_symlink()):
        raise InputError(f"{directory}: is a file; choose the name of a folder for the weights")


def _put_in_place(new: Path, directory: Path) -> None:
    """A folder cannot be renamed onto a full one: the old one steps aside, and comes back should the new one fail."""
    if not directory.exists():
        new.rename(directory)
        return
    old = new.with_name(new.name + ".old")
    directory.rename(old)
    try:
        new.rename(directory)
    except BaseException:
        old.rename(directory)
        raise
    shutil.rmtree(old)


def _read_run(folder: Path) -> Weights:
    fields, params, about = runs.read_checkpoint(folder)
    flat = trees.flatten(params)
    check(flat, architecture := Architecture(**fields), source=str(folder))
    return Weights(architecture, trees.unflatten(flat), about)


def _read_directory(directory: Path) -> Weights:
    about, flat = read_directory(directory)
    architecture = Architecture(about["variant"], about["width"], about["blocks"])
    check(flat, architecture, source=str(directory / ARRAYS))
    return Weights(architecture, trees.unflatten(flat), about)


def read_directory(directory: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The description and the arrays by path, compared with the description's hash. Raises InputError."""
    about = read_description(directory / DESCRIPTION)
    arrays = directory / ARRAYS
    if not arrays.is_file():
        raise InputError(f"{arrays}: is missing; {MAKE_AGAIN}")
    if (found := sha256(arrays)) != about["sha256"]:
        raise InputError(
            f"{arrays}: its sha256 {found[:16]}... is not the {about['sha256'][:16]}... of {DESCRIPTION}: "
            f"it was damaged or exchanged; {MAKE_AGAIN}"
        )
    return about, formats.read_state_dict(arrays)


def read_description(path: Path) -> dict[str, Any]:
    """Read and check `smnet.json`, which may be anybody's."""
    remedy = MAKE_AGAIN
    try:
        with path.open("rb") as file:
            text = file.read(MAX_DESCRIPTION + 1)
        if len(text) > MAX_DESCRIPTION:
            raise InputError(f"{path}: is larger than {MAX_DESCRIPTION >> 20} MB; {remedy}")
        about = json.loads(text)
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: is missing: this folder holds no converted weights, nor a training run; name one that does, "
            f"or {remedy}"
        ) from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is no sound JSON; {remedy}") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise InputError(f"{path}: does not describe {FORMAT}; {remedy}")
    if about.get("version") != VERSION:
        raise InputError(f"{path}: is of another version than {VERSION}; update smnet-jax or {remedy}")
    sound = _SOUND["exposure" if about.get("network") == "exposure" else "smnet"]
    for name, is_sound in sound.items():
        if not is_sound(about.get(name)):
            raise InputError(f"{path}: its {name!r} is missing or makes no sense; {remedy}")
    return about


def _is_size(value: Any) -> bool:
    return type(value) is int and 4 <= value <= 1024 and value % 4 == 0


def _is_sha256(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


_SOUND: dict[str, dict[str, Callable[[Any], bool]]] = {
    "smnet": {
        "variant": lambda value: value in VARIANTS,
        "width": lambda value: type(value) is int and value >= 4 and value % 4 == 0,
        "blocks": lambda value: type(value) is int and 1 <= value <= MAX_BLOCKS,
        "sha256": _is_sha256,
    },
    "exposure": {
        "features": _is_size,
        "hidden": _is_size,
        "fine": lambda value: value in (None, 0) or _is_size(value),  # absent in the first weights
        "sha256": _is_sha256,
    },
}


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
