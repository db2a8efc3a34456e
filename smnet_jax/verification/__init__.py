"""Is this the published network? Every stage of ours against PyTorch's, or against stored numbers of it.

`stages` computes our side, `torch_stages` PyTorch's, `stored` reads numbers
that ship with the package; `comparison` measures, `modes` says what is compared and how exactly, `divergence` trains
both side by side, `exported` runs exported files in their own runtimes, `report` shows.
"""
