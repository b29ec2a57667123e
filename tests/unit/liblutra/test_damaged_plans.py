"""Whatever bytes are given as a plan file, liblutra loads and runs them, or refuses them with one line."""

import os
import struct
import zlib
from functools import cache

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from lutra.engine.plan_file import to_bytes
from lutra.engine.records import LayerRecord, UnitRecord
from lutra.model.anysize import CORRELATION, CURVE, POLYNOMIAL, POWERS, STEEPNESS
from tests.golden.cases import model
from tests.unit.liblutra.bound import BAD_PLAN, NO_MEMORY, Failed, Library
from tests.unit.liblutra.building import SANITIZE

pytestmark = pytest.mark.xdist_group("liblutra")

EXAMPLES = int(os.environ.get("LUTRA_EXAMPLES", 300 if SANITIZE else 100))
NAMES = (
    *("mulut-dfc-x2", "autolut-spflut-dfc-x2", "spflut-dfc-x1", "shiftlut-x1", "tinylut-x2", "hklut-x3"),
    *("shiftlut-colours-x2", "dnlut-x1", "front-mulut-x2", "lerf-dfc-x3"),
)
"""Plans of every kind of record."""
HEADER = 32
FAR = st.sampled_from([-(2**31), -(2**24), -65, -1, 0, 1, 2, 64, 65, 255, 2**12, 2**16, 2**24, 2**24 + 1, 2**31 - 1])


@cache
def plan_of(name: str) -> bytes:
    return to_bytes(model(name))


def sealed(body: bytes | bytearray) -> bytes:
    """The bytes with the size and the checksum that they should have."""
    body = bytearray(body[: max(len(body), HEADER)].ljust(HEADER, b"\0"))
    body[12:16] = struct.pack("<I", len(body) + 4)
    return bytes(body) + struct.pack("<I", zlib.crc32(body))


def records_of(plan: bytes) -> list[tuple[int, int]]:
    """Return where each record's content begins and ends."""
    at = HEADER + -(-struct.unpack_from("<I", plan, 28)[0] // 4) * 4
    found = []
    while at < len(plan) - 4:
        size = struct.unpack_from("<I", plan, at + 4)[0]
        found.append((at + 8, at + 8 + size))
        at += 8 + size
    return found


def accepts(library: Library, plan: bytes) -> bool:
    """Load it and restore a small image, and return whether that worked."""
    try:
        loaded = library.load(plan)
    except Failed as failed:
        assert failed.status in (BAD_PLAN, NO_MEMORY) and str(failed) and "\n" not in str(failed)
        return False
    for channels in (1, 3) if loaded.fact("colours") == 3 else (2,):
        pixels = np.random.default_rng(0).integers(0, 256, (9, 70, channels), dtype=np.uint8)
        loaded.restore(pixels, threads=2)
        if loaded.fact("any_size"):
            loaded.restore_to(pixels, (31, 21), threads=2)
    return True


def test_records_are_found() -> None:
    for name in NAMES:
        plan = plan_of(name)
        assert sealed(plan[:-4]) == plan
        assert records_of(plan)[-1][1] == len(plan) - 4


@pytest.mark.parametrize("name", NAMES)
def test_a_cut_plan_is_refused(library: Library, name: str) -> None:
    plan = plan_of(name)
    ends = {*range(0, 200), *(end for record in records_of(plan) for end in record), len(plan) - 1}
    for end in sorted(ends - {len(plan)}):
        with pytest.raises(Failed, match="plan file: it ") as failed:
            library.load(plan[:end])
        assert failed.value.status == BAD_PLAN
    with pytest.raises(Failed, match=f"it has {len(plan) + 1} bytes, expected {len(plan)}"):
        library.load(plan + b"\0")


@settings(max_examples=EXAMPLES, deadline=None)
@given(name=st.sampled_from(NAMES), data=st.data())
def test_a_changed_byte_is_noticed(library: Library, name: str, data: st.DataObject) -> None:
    plan = bytearray(plan_of(name))
    place = data.draw(st.integers(0, len(plan) - 1))
    plan[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Failed, match="plan file: it"):
        library.load(bytes(plan))


@settings(max_examples=EXAMPLES, deadline=None)
@given(name=st.sampled_from(NAMES), data=st.data())
def test_changed_numbers_crash_nothing(library: Library, name: str, data: st.DataObject) -> None:
    """The checksum is right: only the numbers are wrong."""
    plan = bytearray(plan_of(name)[:-4])
    records = records_of(plan_of(name))
    for _ in range(data.draw(st.sampled_from([1, 1, 1, 2, 3]))):
        begin, end = data.draw(st.sampled_from(records))
        numbers = (min(end, begin + 80) - (begin - 8)) // 4  # the kind, the size and what comes before tables
        place = begin - 8 + 4 * data.draw(st.integers(0, numbers - 1))
        before = struct.unpack_from("<i", plan, place)[0]
        near = st.integers(max(before - 2, -(2**31)), min(before + 2, 2**31 - 1))
        struct.pack_into("<i", plan, place, data.draw(near | FAR))
    event("ran" if accepts(library, sealed(plan)) else "refused")


@settings(max_examples=EXAMPLES, deadline=None)
@given(names=st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), data=st.data())
def test_records_in_any_order_crash_nothing(library: Library, names: tuple[str, str], data: st.DataObject) -> None:
    """Dropped, repeated, swapped, cut, or those of another model."""
    plan = plan_of(names[0])
    records = [plan[begin - 8 : end] for begin, end in records_of(plan)]
    others = [plan_of(names[1])[begin - 8 : end] for begin, end in records_of(plan_of(names[1]))]
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(records) - 1))
        change = data.draw(st.sampled_from(["drop", "repeat", "swap", "replace", "cut"]))
        if change == "drop" and len(records) > 1:
            del records[place]
        elif change == "repeat":
            records.insert(place, records[place])
        elif change == "swap":
            other = data.draw(st.integers(0, len(records) - 1))
            records[place], records[other] = records[other], records[place]
        elif change == "replace":
            records[place] = data.draw(st.sampled_from(others))
        elif change == "cut":
            content = records[place][8:]
            content = content[: data.draw(st.integers(0, len(content)))]
            records[place] = records[place][:4] + struct.pack("<I", len(content)) + content
    head = plan[: records_of(plan)[0][0] - 8]
    event("ran" if accepts(library, sealed(head + b"".join(records))) else "refused")


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    data=st.binary(max_size=400),
    kind=st.integers(0, 4),
    like=st.sampled_from([("dnlut-x1", 3), ("mulut-dfc-x2", 0), ("lerf-x4", 0)]),
    begun=st.booleans(),
)
def test_any_bytes_crash_nothing(library: Library, data: bytes, kind: int, like: tuple[str, int], begun: bool) -> None:
    head = plan_of(like[0])[:16] + struct.pack("<IIII", kind, 0, like[1], 0)
    accepts(library, sealed(head + data) if begun else data)


def test_memory_for_a_small_image_is_bounded(library: Library) -> None:
    """Every row kept has the margin at both ends."""
    for count, message in ((60, None), (100, "operations that together look too far")):
        record = LayerRecord(1, False, 1)
        record.layer(0, 1, 1, True, np.zeros((1, 1, 64), np.int16))
        for plane in range(count):
            record.plane(1, 0, 63)
            record.sum(0, plane + 1, 0, 63, np.array([[plane, 0, 15, 15]]), np.zeros((0, 4), np.int32))
        record.merge(1, 1, 0, np.array([[count, 0, 0, 0]]), np.zeros((0, 4), np.int32))
        plan = record.to_bytes("far", "each")
        if message is None:
            assert library.load(plan).fact("margin") == 15 * count
            continue
        with pytest.raises(Failed, match=message):
            library.load(plan)


def test_what_is_wrong_is_said(library: Library) -> None:
    """Each promise of docs/format.md: what a reader refuses."""
    plan = plan_of("hklut-x3")
    for change, message in (
        ({8: 0}, "it is of version 0, expected 1 to 3"),
        ({8: 4}, "it is of version 4, expected 1 to 3"),
        ({8: 2}, "the colours that it restores together are unknown"),
        ({8: 2, 24: 3}, "the colours that it restores together are unknown"),
        ({12: 2**31}, "its size is out of range"),
        ({16: 4}, "the kind of its plan is unknown"),
        ({20: 2}, "the planes that it was trained on are unknown"),
        ({24: 1}, "a reserved field is not zero"),
        ({28: 1025}, "its title is too long"),
        ({28: 2**30}, "a number out of range"),
        ({records_of(plan)[0][0] - 8: 2}, "it does not begin with a record of kind 1"),
        ({records_of(plan)[1][0] - 8: 9}, "a record of kind 9, which is unknown"),
        ({records_of(plan)[1][0] - 4: 2**31}, "it ends too early"),
        ({records_of(plan)[1][0] - 4: 4}, "it ends too early"),
        ({records_of(plan)[0][0]: 2**25}, "a number out of range"),
        ({records_of(plan)[0][0]: 9}, "plan: steps that do not give the scale"),
        ({records_of(plan)[2][0]: 2}, "a flag that is neither 0 nor 1"),
    ):
        changed = bytearray(plan)
        for place, value in change.items():
            struct.pack_into("<I", changed, place, value)
        whole = bytes(changed) if 12 in change else sealed(changed[:-4])
        with pytest.raises(Failed, match=message):
            library.load(whole)
    coloured = plan_of("dnlut-x1")
    for colours in (0, 1, 2, 4, 2**31):
        with pytest.raises(Failed, match="the colours that it restores together are unknown"):
            library.load(sealed(coloured[:24] + struct.pack("<I", colours) + coloured[28:-4]))
    begin, end = records_of(plan)[0]
    longer = plan[: begin - 4] + struct.pack("<I", end - begin + 4) + plan[begin:end] + bytes(4) + plan[end:-4]
    with pytest.raises(Failed, match="a record that is longer than what it holds"):
        library.load(sealed(longer))
    title = plan[:28] + struct.pack("<I", 1) + b"a\0\0\1" + plan[records_of(plan)[0][0] - 8 : -4]
    with pytest.raises(Failed, match="bytes between arrays that are not zero"):
        library.load(sealed(title))


def resampling(**changes: object) -> bytes:
    """A plan of any size whose last record is changed: numbers by their place in it, or `values` by theirs."""
    plan = plan_of("lerf-x4")
    begin, _ = records_of(plan)[-1]
    changed = bytearray(plan[:-4])
    for name, value in changes.items():
        at = begin + int(name[1:])
        struct.pack_into("<d" if name[0] == "d" else "<i", changed, at, value)
    return sealed(changed)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"i0": 0}, "the scale of a model of any size is out of range"),
        ({"i0": 9}, "the scale of a model of any size is out of range"),
        ({"i4": 2}, "a flag that is neither 0 nor 1"),
        ({"i8": 0}, "plan: a plane is put out that nothing wrote"),
        ({"i20": 5}, "plan: a plane is put out that nothing wrote"),
        ({"d24": -0.1}, "a real number out of range"),
        ({"d24": float("nan")}, "a real number out of range"),
        ({"d2072": 24.0}, "a real number out of range"),
        ({"d4120": 0.1}, "a real number out of range"),
        ({"d6168": float("inf")}, "a real number out of range"),
        ({"d6296": 0.0}, "a real number out of range"),
        ({"d6304": 0.3}, "a real number out of range"),
        ({"i-8": 8}, "it ends too early|a number out of range"),
        ({"i-8": 9}, "a record of kind 9, which is unknown"),
    ],
)
def test_what_is_wrong_with_a_resampling_is_said(library: Library, changes: dict[str, float], message: str) -> None:
    library.load(resampling())
    with pytest.raises(Failed, match=message):
        library.load(resampling(**changes))


def test_resampling_is_last_and_of_version_3(library: Library) -> None:
    plan = plan_of("lerf-x4")
    records = [plan[begin - 8 : end] for begin, end in records_of(plan)]
    head = plan[: records_of(plan)[0][0] - 8]
    with pytest.raises(Failed, match="a record after the resampling"):
        library.load(sealed(head + b"".join([*records, records[-1]])))
    with pytest.raises(Failed, match="plan: the last step alone writes no plane"):
        library.load(sealed(head + b"".join(records[:-1])))
    with pytest.raises(Failed, match="a record of kind 8, which is unknown"):
        library.load(sealed(head[:8] + struct.pack("<I", 1) + head[12:] + b"".join(records)))
    fixed = [record for record in records if record[0] not in (7, 8)]
    with pytest.raises(Failed, match="a record of kind 7, which is unknown"):
        library.load(sealed(head[:8] + struct.pack("<I", 1) + head[12:] + b"".join([*fixed[:3], records[-1]])))


def test_planes_of_a_step_that_enlarges_are_no_result(library: Library) -> None:
    """A step that writes four planes of twice the size."""
    record = UnitRecord(5, 2, False, 0, 0)
    record.step([1, 2, 3, 4], 1, 0, 2, 4)
    table = np.zeros((2**4, 16), np.int8)
    record.fixed(0, -1, [0] * 4, [(0, 0)] * 4, [8, 0, 0, 0], table)
    record.outputs([1, 2, 3, 4])
    record.resampling(2, True, STEEPNESS, CORRELATION, CURVE, POWERS, POLYNOMIAL)
    with pytest.raises(Failed, match="plan: a step upscales, and the result is planes"):
        library.load(record.to_bytes("large", "each"))
