"""Who the workers are: TF_CONFIG, the meeting before TensorFlow starts, the local launcher.

`import kerasd2l.cluster` loads no TensorFlow.
"""

from kerasd2l._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Cluster": "cluster",
        "ClusterError": "cluster",
        "preflight": "meeting",
        "launch": "launch",
        "meeting": "meeting",
        "rendezvous": "rendezvous",
    },
)
