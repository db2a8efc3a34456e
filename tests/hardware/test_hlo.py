"""Reading HLO text: a small program as the TPU compiler writes it, and one that XLA compiles here."""

import jax
import jax.numpy as jnp

from smnet_jax.hardware.hlo import Program

TEXT = """HloModule jit_f, is_scheduled=true

FileNames
1 "/home/x/smnet_jax/network/layers.py"
2 "/home/x/site-packages/flax/linen.py"
3 "/home/x/smnet_jax/network/model.py"

FunctionNames
1 "conv"

FileLocations
1 {file_name_id=3 function_name_id=1 line=40 end_line=40 column=1 end_column=2}
2 {file_name_id=2 function_name_id=1 line=9 end_line=9 column=1 end_column=2}
3 {file_name_id=1 function_name_id=1 line=57 end_line=57 column=1 end_column=2}

StackFrames
1 {file_location_id=1 parent_frame_id=1}
2 {file_location_id=2 parent_frame_id=2}
3 {file_location_id=3 parent_frame_id=3}


%fused (p: bf16[2,8]) -> bf16[2,8] {
  %p = bf16[2,8]{1,0:T(8,128)(2,1)} parameter(0)
  ROOT %reduced = bf16[2,8]{1,0:T(8,128)(2,1)} all-reduce(%p), replica_groups=[2,4]<=[8], to_apply=%add
}

%body (arg: (s32[], bf16[2,8])) -> (s32[], bf16[2,8]) {
  %arg = (s32[]{:T(128)}, bf16[2,8]{1,0:T(8,128)(2,1)}) parameter(0)
  %x = bf16[2,8]{1,0:T(8,128)(2,1)} get-tuple-element(%arg), index=1
  %moved = (bf16[2,8]{1,0}, bf16[2,8]{1,0}, u32[], u32[]) collective-permute-start(%x), source_target_pairs={{0,1},{1,2}}
  %fusion.1 = bf16[2,8]{1,0:T(8,128)(2,1)S(1)} fusion(%x), kind=kOutput, calls=%fused, metadata={op_name="jit(f)/block/conv" stack_frame_id=3}, backend_config={"window_config":{"estimated_cycles":"70"}}
  ROOT %out = (s32[]{:T(128)}, bf16[2,8]{1,0:T(8,128)(2,1)}) tuple(%x, %fusion.1)
}

%condition (arg.1: (s32[], bf16[2,8])) -> pred[] {
  %bound = s32[]{:T(128)} constant(3)
  %arg.1 = (s32[]{:T(128)}, bf16[2,8]{1,0:T(8,128)(2,1)}) parameter(0)
  %count = s32[]{:T(128)} get-tuple-element(%arg.1), index=0
  ROOT %less = pred[]{:T(512)} compare(%count, %bound), direction=LT
}

ENTRY %main (a: bf16[2,8]) -> bf16[2,8] {
  %a = bf16[2,8]{1,0:T(8,128)(2,1)} parameter(0), metadata={op_name="a"}
  %zero = s32[] constant(0)
  %sum = bf16[2,8]{1,0} all-reduce(%a), replica_groups=mesh['x'=4,'y'=2] {'x','y'}, to_apply=%add
  %copy = bf16[2,8]{0,1:T(8,128)(2,1)} copy(%a), backend_config={"window_config":{"estimated_cycles":"5"}}
  %start = (s32[]{:T(128)}, bf16[2,8]{1,0:T(8,128)(2,1)}) tuple(%zero, %copy)
  %while.1 = (s32[]{:T(128)}, bf16[2,8]{1,0:T(8,128)(2,1)}) while(%start), condition=%condition, body=%body
  ROOT %result = bf16[2,8]{1,0:T(8,128)(2,1)} get-tuple-element(%while.1), index=1
}
"""  # noqa: E501


def test_loops_multiply_cycles_and_collectives():
    program = Program(TEXT)
    assert program.cycles == 5 + 3 * 70
    assert {work.name: work.runs for work in program.work} == {"copy": 1, "fusion.1": 3}
    assert program.collective_bytes() == {"all-reduce": 32 + 3 * 32, "collective-permute": 3 * 32}
    groups = {(c.kind, c.group, c.runs) for c in program.collectives}
    assert groups == {("all-reduce", 8, 1), ("all-reduce", 4, 3), ("collective-permute", 3, 3)}
    assert not program.unknown_loops


def test_a_device_alone_exchanges_nothing():
    alone = TEXT.replace("replica_groups=[2,4]<=[8]", "replica_groups={{0}}")
    assert Program(alone).collective_bytes() == {"all-reduce": 32, "collective-permute": 3 * 32}


def test_source_lines_are_those_of_the_package_innermost_first():
    fusion = next(work for work in Program(TEXT).work if work.opcode == "fusion")
    assert fusion.source == "smnet_jax/network/layers.py:57 < smnet_jax/network/model.py:40"
    assert fusion.operation == "jit(f)/block/conv"
    assert fusion.shape == "bf16[2,8]"


def test_a_loop_of_unknown_length_is_named():
    program = Program(TEXT.replace("direction=LT", "direction=GT"))
    assert program.unknown_loops == ["while.1"]
    assert program.cycles == 75


def test_programs_of_other_backends_have_no_estimates():
    def f(x):
        return jax.lax.scan(lambda y, _: (jnp.sin(y @ y), None), x, length=5)[0]

    program = Program(jax.jit(f).lower(jnp.ones((8, 8))).compile().as_text() or "")
    assert (program.cycles, program.collective_bytes()) == (0, {})
    assert any(instruction.opcode == "while" for instruction in program.computations[program.entry].values())
    assert not program.unknown_loops
