"""A page and an HTTP API for one machine's own use: photos in, brightened photos out.

`app` answers requests, `guard` decides whom, `fair_queue` when; `server` is the socket below, `page/` what people see.
The folder `page/` also makes the page that needs no server (`smnet_jax.export.web`).
"""
