"""The network with its weights as one file that runs without this package: StableHLO or ONNX, described beside it."""
