"""Bytes to and from main memory, of small programs as the TPU compiler writes them."""

import pytest

from smnet_jax.aot.traffic import main_memory_bytes
from smnet_jax.hardware.hlo import Program

BIG, SMALL = 1024 * 4, 256 * 4  # bytes of the arrays below


def program(*lines: str, called: str = "") -> Program:
    body = "\n".join(f"  {line}" for line in lines)
    return Program(f"{called}\n\nENTRY %main (a: f32[1024]) -> f32[1024] {{\n{body}\n}}\n")


A = "%a = f32[1024]{0:T(1024)} parameter(0)"
B = "%b = f32[1024]{0:T(1024)S(1)} copy(%a)"
SLICES = """%sliced (p: f32[1024]) -> f32[256] {
  %p = f32[1024]{0:T(1024)} parameter(0)
  %view = f32[4,256]{1,0:T(1024)} bitcast(%p)
  ROOT %part = f32[1,256]{1,0:T(1024)} slice(%view), slice={[0:1], [0:256]}
}"""
UPDATES = """%updated (p: f32[1024], q: f32[256]) -> f32[1024] {
  %p = f32[1024]{0:T(1024)} parameter(0)
  %q = f32[256]{0:T(256)} parameter(1)
  %at = s32[] constant(0)
  %new = f32[1024]{0:T(1024)} dynamic-update-slice(%p, %q, %at)
  ROOT %view = f32[4,256]{1,0:T(1024)} bitcast(%new)
}"""


@pytest.mark.parametrize(
    ("lines", "called", "moved"),
    [
        ([A], "", 0),
        ([A, "%y = f32[1024]{0:T(1024)} add(%a, %a)"], "", 3 * BIG),
        ([A, B], "", BIG),  # into the chip
        ([A, B, "%y = f32[1024]{0:T(1024)S(1)} add(%b, %b)"], "", BIG),
        ([A, "%s = (f32[1024]{0:S(1)}, f32[1024]{0}, u32[]{:S(2)}) copy-start(%a)"], "", BIG),
        ([A, "%s = ((f32[1024]{0}), f32[256]{0:S(1)}, s32[]{:S(2)}) slice-start(%a), slice={[0:256]}"], "", SMALL),
        ([A, B, "%s = (f32[1024]{0:S(1)}, f32[1024]{0:S(1)}, u32[]{:S(2)}) copy-start(%b)"], "", BIG),  # B's own
        ([A, "%y = f32[1,256]{1,0:S(1)} fusion(%a), kind=kLoop, calls=%sliced"], SLICES, SMALL),
        ([A, '%y = f32[1024]{0:T(1024)} custom-call(), custom_call_target="AllocateBuffer"'], "", 0),
        (
            [A, "%q = f32[256]{0:S(1)} constant(0)", "%y = f32[4,256]{1,0} fusion(%a, %q), kind=kLoop, calls=%updated"],
            UPDATES,
            SMALL,
        ),
    ],
)
def test_only_what_crosses_the_chips_border_counts(lines, called, moved):
    assert main_memory_bytes(program(*lines, called=called)) == moved


def test_what_a_loop_moves_counts_for_each_turn():
    body = f"""%body (t: (s32[], f32[1024])) -> (s32[], f32[1024]) {{
  %t = (s32[], f32[1024]) parameter(0)
  %i = s32[] get-tuple-element(%t), index=0
  {A.replace("parameter(0)", "get-tuple-element(%t), index=1")}
  %y = f32[1024]{{0:T(1024)S(1)}} negate(%a)
  ROOT %o = (s32[], f32[1024]) tuple(%i, %y)
}}"""
    loop = '%w = (s32[], f32[1024]) while(%t0), condition=%c, body=%body, backend_config={"known_trip_count":{"n":"5"}}'
    assert main_memory_bytes(program("%t0 = (s32[], f32[1024]) parameter(0)", loop, called=body)) == 5 * BIG
