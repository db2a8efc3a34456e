"""What every metric asks of its two batches of pictures, checked once, before anything is compiled."""

import jax
import jax.numpy as jnp
import numpy as np

from smnet_jax.errors import InputError


def checked(
    metric: str,
    first: jax.typing.ArrayLike,
    second: jax.typing.ArrayLike,
    *,
    minimum: int = 1,
    channels: tuple[int, ...] | None = None,
    names: tuple[str, str] = ("pred", "target"),
) -> tuple[jax.Array, jax.Array]:
    """Return the two batches, uint8 or float32, after checking everything that can be checked.

    The range is decided by the type, never by the values: uint8 means 0..255, any float means [0, 1]. A float
    array whose values leave [0, 1] is refused, unless it is being traced (inside somebody's jit, grad or vmap): its
    values do not exist yet, and keeping them in range is then the caller's business.

    `minimum` is the smallest height and width; `channels` the admissible channel counts (None: any).
    Raises InputError naming the metric, the fault and the remedy.
    """
    arrays = [_as_pictures(metric, name, value) for name, value in zip(names, (first, second), strict=True)]
    a, b = arrays
    if a.shape != b.shape:
        raise InputError(
            f"{metric}: {names[0]} is {a.shape} and {names[1]} is {b.shape}; give two batches of one shape"
        )
    if a.dtype != b.dtype:
        raise InputError(
            f"{metric}: {names[0]} is {a.dtype} and {names[1]} is {b.dtype}, which mean different ranges; "
            "give both as uint8 or both as floats in [0, 1]"
        )
    _check_shape(metric, a, minimum, channels)
    return a, b


def checked_alone(
    metric: str, images: jax.typing.ArrayLike, *, minimum: int = 1, channels: tuple[int, ...] | None = None
) -> jax.Array:
    """What `checked` does, for a metric of one batch without a reference."""
    array = _as_pictures(metric, "images", images)
    _check_shape(metric, array, minimum, channels)
    return array


def checked_sizes(
    metric: str, sizes: jax.typing.ArrayLike | None, images: jax.Array, *, minimum: int = 1
) -> jax.Array | None:
    """Rows and columns (N, 2) of pictures that are smaller than their array (N, H, W, C), int32; None stays None.

    Raises InputError where the shape is another or, unless they are being traced, sizes are not from `minimum` to the
    array's.
    """
    if sizes is None:
        return None
    array = jnp.asarray(sizes)
    if array.shape != (len(images), 2) or not jnp.issubdtype(array.dtype, jnp.integer):
        raise InputError(f"{metric}: sizes are {array.dtype} {array.shape}; give integers, rows and columns, (N, 2)")
    if not isinstance(array, jax.core.Tracer) and array.is_fully_addressable:
        least, most = np.asarray(array).min(0), np.asarray(array).max(0)
        if least.min() < minimum or (most > np.array(images.shape[1:3])).any():
            raise InputError(
                f"{metric}: sizes go from {least[1]}x{least[0]} to {most[1]}x{most[0]}; both sides must be at least "
                f"{minimum}, and within the array of {images.shape[2]}x{images.shape[1]}"
            )
    return array.astype(jnp.int32)


def levels(images: jax.Array) -> jax.Array:
    """Pictures on the scale 0..255, float32, for which the constants of most metrics were chosen."""
    if images.dtype == jnp.uint8:
        return images.astype(jnp.float32)
    return images * 255.0


def _check_shape(metric: str, array: jax.Array, minimum: int, channels: tuple[int, ...] | None) -> None:
    height, width, depth = array.shape[1:]
    if min(height, width) < minimum:
        raise InputError(
            f"{metric}: pictures of {width}x{height} pixels are too small; both sides must be at least {minimum}"
        )
    if channels is not None and depth not in channels:
        wanted = " or ".join(map(str, channels))
        raise InputError(f"{metric}: pictures have {depth} channels; give {wanted} (RGB comes last, NHWC)")


def _as_pictures(metric: str, name: str, value: jax.typing.ArrayLike) -> jax.Array:
    array = value if isinstance(value, jax.Array | np.ndarray) else np.asarray(value)
    if array.ndim != 4:
        raise InputError(
            f"{metric}: {name} has shape {array.shape}; give a batch (N, H, W, C), for one picture picture[None]"
        )
    if 0 in array.shape:
        raise InputError(f"{metric}: {name} has shape {array.shape}, which holds no pixel; give at least one picture")
    if array.dtype == jnp.uint8:
        return jnp.asarray(array)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise InputError(f"{metric}: {name} is {array.dtype}; give uint8 (0..255) or floats in [0, 1]")
    low, high = _range(array)
    if not (low >= 0 and high <= 1):  # written so that NaN fails, too
        raise InputError(f"{metric}: {name} has values from {low:.9g} to {high:.9g}; clip it to [0, 1] (or pass uint8)")
    return jnp.asarray(array, jnp.float32)


def _range(array: jax.Array | np.ndarray) -> tuple[float, float]:
    """Smallest and largest value; (0, 1) where they cannot be known."""
    if isinstance(array, np.ndarray):
        return float(array.min()), float(array.max())
    if isinstance(array, jax.core.Tracer) or not array.is_fully_addressable:
        return 0.0, 1.0
    low, high = _extremes(array)
    return float(low), float(high)


@jax.jit
def _extremes(array: jax.Array) -> tuple[jax.Array, jax.Array]:
    return array.min(), array.max()
