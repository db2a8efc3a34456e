"""The weights in a training run's folder: its results, or any of its checkpoints."""

import warnings
from pathlib import Path
from typing import Any

from smnet_jax.errors import InputError
from smnet_jax.host import root_logger

METADATA = "_CHECKPOINT_METADATA"  # Orbax's, in every checkpoint


def results(folder: Path) -> Path | None:
    """What of `folder` to read: its weights/ where it is a finished run's, or its newest checkpoint; `folder` itself
    where it is a checkpoint; None where it is nothing of a run."""
    if (folder / METADATA).is_file():
        return folder
    if (folder / "weights" / "smnet.json").is_file():
        return folder / "weights"
    steps = [path for path in (folder / "checkpoints").glob("*") if path.name.isdigit() and (path / METADATA).is_file()]
    return max(steps, key=lambda path: int(path.name), default=None)


def read_checkpoint(folder: Path) -> tuple[dict[str, Any], Any, dict[str, Any]]:
    """(fields of the architecture, params as numpy arrays, about) of the checkpoint `folder`.

    Where the run averages its weights, the average: what it evaluates and releases. Raises InputError.
    """
    try:
        with root_logger.untouched():
            from orbax.checkpoint import v1 as ocp
    except ImportError as error:
        raise InputError(f"{folder}: is a training checkpoint; pip install 'smnet-jax[train]' to read it") from error
    import jax
    import numpy as np

    here = jax.sharding.SingleDeviceSharding(jax.local_devices(backend="cpu")[0])
    try:
        with root_logger.untouched(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found: Any = ocp.checkpointables_metadata(folder.absolute())
            config = found.custom_metadata["config"]
            fields = {name: config[name] for name in ("variant", "width", "blocks")}
            like = jax.tree.map(
                lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), found.metadata["state"]
            )
            state: Any = ocp.load_checkpointables(folder.absolute(), {"state": like})["state"]
        params = jax.tree.map(np.asarray, state["average"] or _averaged(config, state))
        about = {"source": {"name": f"{folder}, step {int(state['step'])}"}, "training": config}
    except Exception as error:  # whatever a damaged folder makes Orbax raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise InputError(f"{folder}: is no checkpoint that can be read ({reason}); name another one") from error
    return fields, params, about


def _averaged(config: dict[str, Any], state: Any) -> Any:
    """What `smnet_jax.training.optimizer.averaged` gives, of a state without its types."""
    if config.get("optimizer") != "schedule_free_adamw":
        return state["params"]
    import jax

    free = state["opt_state"][-1]
    return jax.tree.map(lambda at, z: (at - (1 - free["b1"]) * z) / free["b1"], state["params"], free["z"])
