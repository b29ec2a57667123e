"""liblutra for Python, through ctypes."""

import ctypes
from ctypes import POINTER, byref, c_char_p, c_double, c_int, c_size_t, c_ssize_t, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

OK, BAD_ARGUMENT, CANNOT_READ, BAD_PLAN, NO_MEMORY = range(5)

ALLOCATE = ctypes.CFUNCTYPE(c_void_p, c_size_t, c_size_t, c_void_p)
RELEASE = ctypes.CFUNCTYPE(None, c_void_p, c_size_t, c_size_t, c_void_p)


class Memory(ctypes.Structure):
    """`lutra_memory`."""

    _fields_ = (("allocate", ALLOCATE), ("release", RELEASE), ("context", c_void_p))


class Failed(Exception):
    """A call that did not return LUTRA_OK."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Library:
    """The shared library."""

    def __init__(self, path: Path) -> None:
        self.c = ctypes.CDLL(str(path))
        signatures: dict[str, tuple[Any, list[Any]]] = {
            "abi": (c_int, []),
            "version": (c_char_p, []),
            "error": (c_char_p, []),
            "load_file": (c_int, [c_char_p, POINTER(c_void_p)]),
            "load_memory": (c_int, [c_char_p, c_size_t, POINTER(c_void_p)]),
            "free": (None, [c_void_p]),
            "scale": (c_int, [c_void_p]),
            "colours": (c_int, [c_void_p]),
            "any_size": (c_int, [c_void_p]),
            "margin": (c_int, [c_void_p]),
            "trained_planes": (c_int, [c_void_p]),
            "title": (c_char_p, [c_void_p]),
            "level": (c_char_p, [c_void_p]),
            "restore": (
                c_int,
                [c_void_p, c_void_p, c_ssize_t, c_int, c_int, c_int, c_void_p, c_ssize_t, c_int],
            ),
            "restore_to": (
                c_int,
                [
                    *(c_void_p, c_void_p, c_ssize_t, c_int, c_int, c_int),
                    *(c_void_p, c_ssize_t, c_int, c_int, c_double, c_int),
                ],
            ),
            "outputs": (c_int, [c_int, c_double]),
            "set_memory": (c_int, [POINTER(Memory)]),
        }
        for name, (result, arguments) in signatures.items():
            function = getattr(self.c, f"lutra_{name}")
            function.restype, function.argtypes = result, arguments

    def check(self, status: int) -> None:
        if status != OK:
            raise Failed(status, self.c.lutra_error().decode())

    def load(self, plan: bytes | Path) -> "Model":
        handle = c_void_p(1)
        if isinstance(plan, Path):
            status = self.c.lutra_load_file(str(plan).encode(), byref(handle))
        else:
            status = self.c.lutra_load_memory(plan, len(plan), byref(handle))
        assert (status == OK) == (handle.value is not None)
        self.check(status)
        return Model(self, handle)


class Model:
    """A loaded model; freed with the object."""

    def __init__(self, library: Library, handle: c_void_p) -> None:
        self.library, self.handle = library, handle

    def __del__(self) -> None:
        self.library.c.lutra_free(self.handle)

    def fact(self, name: str) -> Any:
        return getattr(self.library.c, f"lutra_{name}")(self.handle)

    def restore(self, image: Pixels, threads: int = 1, out: Pixels | None = None) -> Pixels:
        """Restore (H, W) or (H, W, C), of which rows may lie anywhere, into `out` or a new array."""
        scale = self.fact("scale")
        height, width, *channels = image.shape
        if out is None:
            out = np.empty((height * scale, width * scale, *channels), np.uint8)
        assert all(array.strides[1:] == (*channels, 1)[-array.ndim + 1 :] for array in (image, out))
        self.library.check(
            self.library.c.lutra_restore(
                self.handle,
                *(image.ctypes.data, image.strides[0], width, height, *(channels or (1,))),
                *(out.ctypes.data, out.strides[0], threads),
            )
        )
        return out

    def restore_to(
        self, image: Pixels, size: tuple[int, int], scale: float = 0, threads: int = 1, out: Pixels | None = None
    ) -> Pixels:
        """Restore (H, W) or (H, W, C) to a width and height, into `out` or a new array."""
        height, width, *channels = image.shape
        if out is None:
            out = np.empty((size[1], size[0], *channels), np.uint8)
        assert all(array.strides[1:] == (*channels, 1)[-array.ndim + 1 :] for array in (image, out))
        self.library.check(
            self.library.c.lutra_restore_to(
                self.handle,
                *(image.ctypes.data, image.strides[0], width, height, *(channels or (1,))),
                *(out.ctypes.data, out.strides[0], *size, scale, threads),
            )
        )
        return out
