"""The definition of every number, in torch."""

from lutra.limits import wait_passively

wait_passively()  # before a module of this package imports torch
