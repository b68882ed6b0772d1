"""Training: one loop for one device, many GPUs and many machines, with exact resume."""

from kerasd2l._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "CheckpointError": "checkpoint",
        "Checkpoints": "checkpoint",
        "LoopError": "loop",
        "NonFiniteLoss": "loop",
        "Preempted": "loop",
        "RecipeError": "fit",
        "Training": "loop",
        "callback_state": "callback_state",
        "checkpoint": "checkpoint",
        "evaluate": "loop",
        "fit": "fit",
        "history": "history",
        "loop": "loop",
        "make_strategy": "strategy",
        "replicas": "replicas",
        "strategy": "strategy",
        "train": "loop",
    },
)
