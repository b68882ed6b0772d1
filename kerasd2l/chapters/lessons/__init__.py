"""The course lessons: from three points on a line to handwritten digits, one idea at a time."""
