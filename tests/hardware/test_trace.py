"""What parts of the network a trace's operations belong to, and whose time is whose."""

import pytest

from smnet_jax.hardware import trace


@pytest.mark.parametrize(
    ("name", "belongs"),
    [
        ("jit(train_step)/jvp(SMNet)/block/block.local/up_half/act2/mul", ("block/up_half", "forward")),
        ("jit(train_step)/transpose(jvp(SMNet))/SMNet.embed/stem/fem/conv1/conv", ("stem/fem", "backward")),
        ("jit(train_step)/jvp(SMNet)/while/body/closed_call/block/fuse/dot", ("block/fuse", "forward")),
        ("jit(train_step)/transpose(jvp(VGG16Features))/conv1_2/dot", ("VGG16Features", "backward")),
        ("jit(train_step)/jvp()/mul", ("loss", "forward")),
        ("jit(train_step)/mul", ("optimizer and the rest", "forward")),
        ("state.params['head']", ("(not named)", "forward")),
    ],
)
def test_parts_by_name(name, belongs):
    assert trace.part(name) == belongs


def test_what_runs_inside_another_operation_counts_once():
    events = [(0.0, 10e9, "while", 0), (1e9, 4e9, "dot", 0), (5e9, 6e9, "dot", 0), (12e9, 13e9, "add", 0)]
    times: dict[str, float] = {}
    for name, seconds, _ in trace.own_times(events):
        times[name] = times.get(name, 0) + seconds
    assert times == {"while": 6.0, "dot": 4.0, "add": 1.0}
