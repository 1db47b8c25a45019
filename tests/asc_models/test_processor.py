"""The processor's vector instructions, as the Linux kernel lists them."""

from pathlib import Path

import pytest

from asc_models.processor import instruction_set, processor_name


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ("flags\t\t: fpu sse4_2 avx avx2 fma\n", "avx2"),
        ("flags\t\t: avx avx2 avx512f avx512_vnni\nbugs\t\t: avx_vnni\n", "avx512_vnni"),
        ("Features\t: fp asimd crc32\n", "asimd"),
        ("flags\t\t: fpu mmx\n", "unknown"),
    ],
)
def test_the_most_able_instructions_are_named(listed: str, expected: str, tmp_path: Path) -> None:
    """Of a processor's flags the most able set counts, whatever else is listed; none of them is unknown."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\n{listed}")
    assert instruction_set(cpuinfo) == expected


def test_a_system_that_lists_none_is_unknown(tmp_path: Path) -> None:
    """Where there is no list, as on Windows, the answer is `unknown`."""
    assert instruction_set(tmp_path / "nothing") == processor_name(tmp_path / "nothing") == "unknown"


def test_the_processor_is_named(tmp_path: Path) -> None:
    """The first processor's model, as the kernel writes it; ARM's kernels write none."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel\t\t: 1\nmodel name\t: AMD EPYC 7763 64-Core Processor\nflags\t: avx2\n")
    assert processor_name(cpuinfo) == "AMD EPYC 7763 64-Core Processor"
    cpuinfo.write_text("processor\t: 0\nFeatures\t: fp asimd\n")
    assert processor_name(cpuinfo) == "unknown"
