"""Restore videos: clips as files (by PyAV, the extra `video`) and streams of frames through pipes (without it)."""

FORMATS = {".mkv": "matroska", ".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".webm": "webm"}
"""The formats of results by their suffix: those that keep the time of every frame."""
SUFFIXES = (
    *FORMATS,
    *(".avi", ".flv", ".wmv", ".mpg", ".mpeg", ".vob", ".ts", ".m2ts", ".mts", ".ogv", ".3gp", ".mxf", ".dv", ".y4m"),
)
"""The suffixes of files that are taken for videos."""
