"""Products with their gradients written out, for XLA's CPU backend.

JAX's own gradient of a 1x1 convolution contracts three axes at once. XLA:CPU answers with transposed copies of the
features, each fused with everything that led to them and computed anew: they took a third of a training step. As one
product of two matrices, (pixels, I)^T (pixels, O), it needs no copies. Same sums, in the same precision.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

Precision = lax.PrecisionLike


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def product(x: jax.Array, kernel: jax.Array, precision: Precision) -> jax.Array:
    """(N,H,W,I) by one (I,O), or by (N,I,O), one for each picture: (N,H,W,O), at least float32.

    Of bfloat16 too: XLA's CPU backend uses a processor's bfloat16 units only for products that are summed in float32.
    """
    letters = "io" if kernel.ndim == 2 else "nio"
    return jnp.einsum(f"nhwi,{letters}->nhwo", x, kernel, precision=precision, preferred_element_type=_summed(x))


def _forward(x: jax.Array, kernel: jax.Array, precision: Precision) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return product(x, kernel, precision), (x, kernel)


def _backward(precision: Precision, saved: tuple[jax.Array, jax.Array], ct: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    ct = ct.astype(x.dtype)
    towards_x = product(ct, kernel.swapaxes(-1, -2), precision).astype(x.dtype)
    pictures = kernel.shape[:-2]  # kernels of their own: none, or (N,)
    x, ct = (a.reshape(*pictures, -1, a.shape[-1]) for a in (x, ct))
    axes = tuple(range(len(pictures)))
    pixels = ((len(axes),), (len(axes),))
    towards_kernel = lax.dot_general(
        x, ct, (pixels, (axes, axes)), precision=precision, preferred_element_type=_summed(x)
    )
    return towards_x, towards_kernel.astype(kernel.dtype)


def _summed(x: jax.Array) -> jnp.dtype:
    return jnp.promote_types(x.dtype, jnp.float32)


product.defvjp(_forward, _backward)
