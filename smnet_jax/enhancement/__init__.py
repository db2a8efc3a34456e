"""One photo of any size, brightened: whole or in tiles.

GFRM looks at the whole picture, so tiles computed alone would differ in brightness and show their seams. In pieces,
every block first gathers the statistics of all of them, then finishes them with the one gate of the picture.

The room is not called `enhance`: importing a module of that name would replace the function `smnet_jax.enhance`.
"""
