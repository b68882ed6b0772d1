"""The files that carry a folder of SavedModels to other servers: `kerasd2l export --for TARGET`."""

from kerasd2l._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {"write": "writing", "Plan": "plans", "plan": "plans", "IMAGE": "plans"},
)

TARGETS = ("tfserving", "compose", "kubernetes", "kserve", "vertex")
