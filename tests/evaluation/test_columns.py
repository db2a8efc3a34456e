import pytest

from smnet_jax.errors import InputError
from smnet_jax.evaluation.columns import COLUMNS, PAPER, PAPER_COLUMNS, PROTOCOLS, STATISTICS, select

BOTH = frozenset({"low", "high"})


def names(columns):
    return [column.name for column in columns]


def test_names_are_unique_and_protocols_described():
    everything = (*COLUMNS, *STATISTICS)
    assert len(set(names(everything))) == len(everything)
    assert {column.protocol for column in everything} <= set(PROTOCOLS)


def test_the_papers_columns_come_first_and_have_the_papers_numbers():
    assert tuple(names(COLUMNS))[: len(PAPER_COLUMNS)] == PAPER_COLUMNS
    assert all(column.protocol == "published" for column in COLUMNS[: len(PAPER_COLUMNS)])
    assert all(tuple(numbers) == PAPER_COLUMNS for numbers in PAPER.values())
    assert PAPER["LOL eval15"]["psnr"] == "24.55"
    assert PAPER["FiveK"]["loe"] == "126.21"


def test_groups():
    assert names(select(["all"], available=BOTH)) == names(COLUMNS)
    assert tuple(names(select(["paper"], available=BOTH))) == PAPER_COLUMNS


def test_order_is_the_tables_not_the_users():
    assert names(select(["ssim_gray", "psnr"], available=BOTH)) == ["psnr", "ssim_gray"]


def test_finished_pictures_have_no_rounded_or_float_columns_unless_asked():
    assert not {"psnr_rounded", "ssim_float"} & set(names(select(["all"], available=BOTH, quantised=True)))
    assert names(select(["psnr_rounded"], available=BOTH, quantised=True)) == ["psnr_rounded"]


def test_without_targets_only_niqe_loe_and_statistics():
    found = select(["all"], available=frozenset({"low"}))
    assert names(found) == ["loe", "niqe", "loe_nearest", *names(STATISTICS)]
    assert names(select(["all"], available=frozenset())) == ["niqe", *names(STATISTICS)]


def test_without_inputs_no_loe():
    assert "loe" not in names(select(["all"], available=frozenset({"high"})))


@pytest.mark.parametrize(
    ("wanted", "available", "message"),
    [
        (["psnr", "pnsr"], BOTH, "pnsr: no such metric; there are all, paper, psnr"),
        (["ssim"], frozenset({"low"}), "ssim: needs --high DIR"),
        (["loe"], frozenset({"high"}), "loe: needs --low DIR"),
        (["paper"], frozenset(), "nothing of it can be computed"),
        ([], BOTH, "nothing of it"),
    ],
)
def test_impossible_wishes(wanted, available, message):
    with pytest.raises(InputError, match=message):
        select(wanted, available=available)
