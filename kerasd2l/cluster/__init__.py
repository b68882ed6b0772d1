"""Who the workers are (TF_CONFIG, Slurm, Kubernetes), how they meet, and the local launcher.

`import kerasd2l.cluster` loads no TensorFlow.
"""

from kerasd2l._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Cluster": "cluster",
        "ClusterError": "cluster",
        "PortError": "cluster",
        "find": "resolving",
        "launch": "launch",
        "meet": "meeting",
        "resolving": "resolving",
    },
)
