"""What TensorFlow says of an error, in one line for a person."""

from __future__ import annotations

import re


def plain_message(error: BaseException) -> str:
    """Return TensorFlow's message without traces and names of graph nodes."""
    text = str(getattr(error, "message", None) or error)
    # in a graph, the message stands on the line before the first [[node]]
    marked = re.search(r"^(.*)\n\s*\[\[", text, re.MULTILINE)
    line = marked[1] if marked else next((line for line in text.splitlines() if line.strip()), "")
    line = re.sub(r"\{\{.*?\}\}|\[\[.*?\]\]|\[Op:.*?\]", "", line)
    line = re.sub(r"^\s*\(\d+\) [A-Z_]+: ", "", line)
    line = re.sub(r"^\s*assertion failed: \[(.*?)[.\s]*\].*", r"\1", line)
    return line.strip()[:300] or type(error).__name__
