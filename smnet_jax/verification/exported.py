"""An exported file in its own runtime against the network that it was made from."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from smnet_jax.checkpoints import weights
from smnet_jax.errors import InputError
from smnet_jax.export.metadata import metadata_path
from smnet_jax.images import padding
from smnet_jax.network.model import SMNet
from smnet_jax.verification.comparison import Difference, difference

TOLERANCE = 1e-5  # relative to the largest value: float32 in another order of summation, by another compiler
HALF_TOLERANCE = 5e-3  # weights and features in float16: 11 bits, rounded once a layer
SIZES = ((1, 32, 40), (2, 48, 24), (1, 8, 8), (1, 96, 128))
ODD_SIZES = ((1, 37, 53), (3, 10, 11))  # ONNX pads by itself
HALF = "weights and features are float16"
LARGEST = 1 << 30  # bytes of file; the published width makes 12 MB

Run = Callable[[np.ndarray], np.ndarray]


def runtime(path: Path) -> str:
    """What runs the file."""
    return "ONNX Runtime on CPU" if path.suffix == ".onnx" else f"jax.export on {jax.default_backend()}"


def check(path: Path, source: str) -> tuple[list[Difference], list[str]]:
    """Several sizes of noise, for `ExposureNet` in frames too, through the file and through our network with `source`.

    Also notes, one sentence each, on what else was looked at: the checker of ONNX, the description beside the file.
    Raises InputError where the file cannot be read or run.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"{path}: is larger than {LARGEST >> 30} GiB; this is no exported SMNet")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a file made by smnet export") from error
    run, notes = _onnx(path, data) if path.suffix == ".onnx" else _stablehlo(path, data)
    tolerance = HALF_TOLERANCE if HALF in notes else TOLERANCE
    ours, framed = _network(source)
    rng = np.random.default_rng(0)
    differences = []
    for batch, height, width in (*SIZES, *(ODD_SIZES if path.suffix == ".onnx" else ())):
        low = rng.uniform(0, 0.4, (batch, height, width, 3)).astype(np.float32)
        if framed and height > 32:
            low[0, :5] = low[0, -4:] = 0
        expected = ours(low)
        try:
            got = run(low)
        except Exception as error:  # each runtime has exceptions of its own
            raise InputError(f"{path}: fails on {batch}x{height}x{width}x3 ({_first_line(error)})") from error
        differences.append(difference(f"{batch}x{height}x{width}x3", got, expected, tolerance))
    return differences, [*notes, _metadata_note(path, data)]


def _network(source: str) -> tuple[Run, bool]:
    """Our network with these weights, and whether it leaves frames out."""
    if weights.is_exposure(source):
        model, variables = weights.load(source)
        apply = jax.jit(model.apply)
        return lambda low: np.asarray(apply(variables, low)), True
    found = weights.read(source)
    variables = {"params": jax.tree.map(jnp.asarray, found.params)}
    smnet = SMNet(**vars(found.architecture), precision="highest")
    apply = jax.jit(lambda variables, low: smnet.apply(variables, low))
    return lambda low: padding.crop(np.asarray(apply(variables, padding.pad(low))), *low.shape[1:3]), False


def _onnx(path: Path, data: bytes) -> tuple[Run, list[str]]:
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(f"{path}: onnxruntime is not installed; pip install 'smnet-jax[export]'") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        import onnx

        onnx.checker.check_model(onnx.load_model_from_string(data), full_check=True)
        # From bytes, so that a stranger's file cannot name other files to be read in as weights.
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        (given,), (result,) = session.get_inputs(), session.get_outputs()
    except Exception as error:  # protobuf's, the checker's and the runtime's have no common base
        raise InputError(f"{path}: is no sound ONNX file ({_first_line(error)}); export it again") from error
    model = onnx.load_model_from_string(data)
    opset = next(o.version for o in model.opset_import if not o.domain)
    notes = [f"ONNX's checker accepts it (opset {opset})"]
    if any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in model.graph.initializer):
        notes.append(HALF)
    return lambda low: session.run([result.name], {given.name: low})[0], notes


def _stablehlo(path: Path, data: bytes) -> tuple[Run, list[str]]:
    try:
        import flatbuffers  # noqa: F401  what jax.export reads with
    except ImportError as error:
        raise InputError(f"{path}: flatbuffers is not installed; pip install 'smnet-jax[export]'") from error
    from jax import export

    try:
        program = export.deserialize(bytearray(data))
        shapes, platforms = [str(aval) for aval in program.in_avals], ", ".join(program.platforms)
    except Exception as error:  # the reader trusts its input and fails in many ways
        raise InputError(f"{path}: is no program of jax.export ({_first_line(error)}); export it again") from error
    call = jax.jit(program.call)
    return lambda low: np.asarray(call(low)), [f"program for {platforms}; takes {', '.join(shapes)}"]


def _metadata_note(path: Path, data: bytes) -> str:
    beside = metadata_path(path)
    try:
        with beside.open("rb") as file:
            said = json.loads(file.read(1 << 20))["sha256"]
    except FileNotFoundError:
        return f"{beside.name} is not there: pre- and post-processing are described nowhere"
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise InputError(f"{beside}: is no description of an exported file; export it again") from error
    if said != hashlib.sha256(data).hexdigest():
        raise InputError(f"{beside}: describes another file (its sha256 differs); export it again")
    return f"{beside.name} describes this very file"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
