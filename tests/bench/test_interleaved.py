from smnet_jax.bench.interleaved import take_turns


def test_runs_take_turns_and_settle_untimed():
    order = []
    runs = {name: lambda name=name: order.append(name) for name in "ab"}
    clocks = take_turns(runs, 2, "steps", settle=True)
    assert order == list("aabbaabb")
    assert {name: len(timed) for name, timed in clocks.items()} == {"a": 2, "b": 2}
    order.clear()
    take_turns(runs, 1, "steps")
    assert order == list("ab")
