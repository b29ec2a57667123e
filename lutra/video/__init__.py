"""Restore videos: clips as files (by PyAV, the extra `video`) and streams of frames through pipes (without it)."""
