"""Weights on the Hugging Face Hub: `hf://OWNER/NAME[@REVISION]` to a local path, and a folder to upload there.

Only `smnet.json` and safetensors are ever fetched, never a pickle. What arrives is a stranger's, and is read as such.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smnet_jax.errors import InputError
from smnet_jax.host.atomic_files import replacing

PREFIX = "hf://"
MAX_BYTES = 1 << 30  # of a file; the network as published has 12 MB
CARD = "README.md"
_NAME = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", re.ASCII)


def fetch(source: str, description: str, arrays: str) -> Path:
    """Fetch what `source` names into huggingface_hub's cache, unless it is there, and return its place.

    The place is a folder where the repository has `description` and `arrays`, both of the same commit; else the file
    `model.safetensors`. HF_HUB_OFFLINE=1, or no connection, takes what is cached.
    Raises InputError where the name is not understood, nothing is found, or what is found is too large or damaged.
    """
    match = _NAME.fullmatch(source)
    if match is None:
        raise InputError(f"{source}: must be {PREFIX}OWNER/NAME or {PREFIX}OWNER/NAME@REVISION")
    try:
        from huggingface_hub import errors
    except ImportError as error:
        raise InputError(f"{source}: {error.name} is not installed; pip install 'smnet-jax[hub]'") from error
    repository, revision = match[1], match[2] or "main"
    try:
        try:
            folder = _download(source, repository, revision, description).parent
        except errors.EntryNotFoundError:
            return _download(source, repository, revision, "model.safetensors")
        _download(source, repository, folder.name, arrays)  # cached files lie in a folder named after their commit
        return folder
    except InputError:
        raise
    except errors.RepositoryNotFoundError as error:
        raise InputError(
            f"{source}: there is no such repository, or it is private; check the name, or log in"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise InputError(f"{source}: has no revision {revision}; name a branch, a tag or a commit") from error
    except errors.LocalEntryNotFoundError as error:
        raise InputError(f"{source}: cannot be reached and is not in the cache; connect once to fetch it") from error
    except errors.EntryNotFoundError as error:
        raise InputError(
            f"{source}: holds neither {description} with {arrays} nor model.safetensors; pickled files are not fetched"
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"{source}: cannot be fetched ({str(error).splitlines()[0][:200]})") from error


def _download(source: str, repository: str, revision: str, name: str) -> Path:
    from huggingface_hub import hf_hub_download

    size = hf_hub_download(repository, name, revision=revision, dry_run=True).file_size
    if size is not None and size > MAX_BYTES:
        raise InputError(f"{source}: {name} has {size >> 20} MB, more than {MAX_BYTES >> 20}; these are no weights")
    path = Path(hf_hub_download(repository, name, revision=revision))
    blob = path.resolve()
    if re.fullmatch("[0-9a-f]{64}", blob.name):  # the cache names large files after their sha256
        with blob.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != blob.name:
                raise InputError(f"{source}: {blob} is damaged; delete it and fetch it again")
    return path


def write_card(folder: Path, about: Mapping[str, Any]) -> None:
    """Write the model card that the hub shows, README.md, beside weights whose description is `about`."""
    with replacing(folder / CARD) as temporary:
        temporary.write_text(card(about), encoding="utf-8")


def card(about: Mapping[str, Any]) -> str:
    """The model card of the weights that `about` describes; what only their maker knows is left as questions."""
    origin = {name: about[name] for name in ("source", "training") if name in about}
    return f"""---
library_name: smnet-jax
pipeline_tag: image-to-image
tags:
- low-light-image-enhancement
- smnet
- jax
- flax
# license: which one? It follows from the data as much as from you.
---

# SMNet, {about["variant"]}, width {about["width"]}

Weights of SMNet (Lin et al., "SMNet: Synchronous Multi-Scale Low Light Enhancement Network With Local and Global
Concern", IEEE Transactions on Multimedia) for [smnet-jax](https://pypi.org/project/smnet-jax/).

| variant | width | blocks | parameters | sha256 of `params.safetensors` |
|---|---|---|---|---|
| {about["variant"]} | {about["width"]} | {about["blocks"]} | {about["parameters"]:,} | `{about["sha256"]}` |

## Use

```console
$ pip install 'smnet-jax[hub]'
$ smnet enhance dark.jpg -o bright.jpg --weights hf://OWNER/NAME
```

```python
import smnet_jax

model, variables = smnet_jax.load("hf://OWNER/NAME")
bright = model.apply(variables, low)  # (N, H, W, 3) float32 sRGB in [0, 1], sides multiples of 4; not clipped
```

## To be said by whoever trained them

- Which data, and under which terms?
- Which command, for how long, on what?
- Scores: on which pictures, under which protocol (`smnet evaluate` names it)?
- What do they do badly? A network invents what the sensor did not record: not for measurement or evidence.

## Origin, as recorded

```json
{json.dumps(origin, indent=1)}
```
"""
