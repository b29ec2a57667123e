"""The compiled core: an extension module under lutra.engine, absent where it was not built."""
