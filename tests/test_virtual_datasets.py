"""Virtual HDF5 datasets read as h5py (libhdf5) reads them: overlaps, irregular selections, numbered sources."""

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t
from test_cli import upwell


def sources(folder):
    for n in range(3):
        with h5py.File(folder / f"s{n}.h5", "w") as f:
            f.create_dataset("x", data=100 * (n + 1) + np.arange(24).reshape(4, 6), chunks=(3, 4), maxshape=(None, 6))
    with h5py.File(folder / "holes.h5", "w") as f:
        x = f.create_dataset("x", (4, 6), "i8", chunks=(2, 3), fillvalue=-9)
        x[0, 0] = 5


def hyperslabs(shape, blocks):
    space = h5s.create_simple(shape)
    for i, (start, count) in enumerate(blocks):
        space.select_hyperslab(start, count, op=h5s.SELECT_OR if i else h5s.SELECT_SET)
    return space


def virtual(folder, shape, mappings, fill=-1):
    """mappings: (file, source space, target space); gives the path of a file with the dataset v."""
    how = h5p.create(h5p.DATASET_CREATE)
    how.set_fill_value(np.array(fill, "i8"))
    for file, source, target in mappings:
        how.set_virtual(target, file.encode(), b"x", source)
    path = folder / "virtual.h5"
    with h5py.File(path, "w", libver="latest") as f:
        h5d.create(f.id, b"v", h5t.NATIVE_INT64, h5s.create_simple(shape), how)
    return path


def same(path, folder):
    with h5py.File(path) as f:
        expected = f["v"][...]
    upwell("read", path, "v", "--raw", "-o", folder / "v.npy")
    np.testing.assert_array_equal(np.load(folder / "v.npy"), expected)
    return expected


def test_of_overlapping_mappings_the_last_stays(tmp_path):
    sources(tmp_path)
    whole = h5s.create_simple((4, 6))
    path = virtual(tmp_path, (8, 10), [
        ("s0.h5", whole, hyperslabs((8, 10), [((0, 0), (4, 6))])),
        ("s1.h5", whole, hyperslabs((8, 10), [((2, 3), (4, 6))])),
        ("holes.h5", whole, hyperslabs((8, 10), [((1, 4), (4, 6))])),
        ("s2.h5", hyperslabs((4, 6), [((1, 1), (2, 2))]), hyperslabs((8, 10), [((3, 5), (2, 2))])),
    ])
    got = same(path, tmp_path)
    assert got[0, 0] == 100 and got[1, 4] == 5 and got[1, 5] == -9 and got[3, 5] == 307 and got[7, 9] == -1


def test_irregular_selections_are_matched_in_order(tmp_path):
    sources(tmp_path)
    staircase = [((0, 0), (1, 2)), ((1, 1), (2, 3)), ((3, 0), (1, 1)), ((3, 4), (1, 2))]
    path = virtual(tmp_path, (8, 10), [
        ("s0.h5", hyperslabs((4, 6), staircase), hyperslabs((8, 10), staircase)),
        ("s1.h5", hyperslabs((4, 6), staircase), hyperslabs((8, 10), [((4, 0), (1, 7)), ((6, 2), (1, 4))])),
        ("s2.h5", hyperslabs((4, 6), [((0, 0), (2, 6))]), hyperslabs((8, 10), [((5, 0), (3, 1)), ((5, 7), (3, 3))])),
    ])
    same(path, tmp_path)


@pytest.mark.parametrize("seed", range(12))
def test_random_mappings(tmp_path, seed):
    random = np.random.default_rng(seed)
    sources(tmp_path)
    mappings = []
    for _ in range(random.integers(2, 6)):
        blocks, target = [], []
        for space, out in (((4, 6), blocks), ((8, 10), target)):
            for _ in range(random.integers(1, 4)):
                start = [int(random.integers(0, n)) for n in space]
                out.append((tuple(start), tuple(int(random.integers(1, n - s + 1)) for s, n in zip(start, space))))
        source, place = hyperslabs((4, 6), blocks), hyperslabs((8, 10), target)
        if source.get_select_npoints() != place.get_select_npoints():
            # As many elements as there are, in some rows.
            points = source.get_select_npoints()
            rows = -(-points // 10)
            place = hyperslabs((8, 10), [((int(random.integers(0, 9 - rows)), 0), (1, points % 10 or 10))])
            top = place.get_select_bounds()[0][0]
            if rows > 1:
                place.select_hyperslab((top + 1, 0), (rows - 1, 10), op=h5s.SELECT_OR)
        mappings.append((random.choice(["s0.h5", "s1.h5", "holes.h5"]), source, place))
    same(virtual(tmp_path, (8, 10), mappings), tmp_path)


def test_numbered_sources_and_unlimited_ones(tmp_path):
    sources(tmp_path)
    target = h5s.create_simple((0, 6), (h5s.UNLIMITED, 6))
    target.select_hyperslab((0, 0), (h5s.UNLIMITED, 1), (4, 6), (4, 6))
    how = h5p.create(h5p.DATASET_CREATE)
    how.set_virtual(target, b"s%b.h5", b"x", h5s.create_simple((4, 6)))
    with h5py.File(tmp_path / "numbered.h5", "w", libver="latest") as f:
        h5d.create(f.id, b"v", h5t.NATIVE_INT64, h5s.create_simple((0, 6), (h5s.UNLIMITED, 6)), how)
    assert same(tmp_path / "numbered.h5", tmp_path).shape == (12, 6)

    how = h5p.create(h5p.DATASET_CREATE)
    target = h5s.create_simple((0, 6), (h5s.UNLIMITED, 6))
    target.select_hyperslab((1, 0), (h5s.UNLIMITED, 1), (2, 6), (1, 6))
    source = h5s.create_simple((4, 6), (h5s.UNLIMITED, 6))
    source.select_hyperslab((0, 0), (h5s.UNLIMITED, 1), (1, 6), (1, 6))
    how.set_virtual(target, b"s1.h5", b"x", source)
    with h5py.File(tmp_path / "endless.h5", "w", libver="latest") as f:
        h5d.create(f.id, b"v", h5t.NATIVE_INT64, h5s.create_simple((0, 6), (h5s.UNLIMITED, 6)), how)
    assert same(tmp_path / "endless.h5", tmp_path).shape == (8, 6)
