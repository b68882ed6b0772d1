"""By hand what Keras supplies: the book's "from scratch" sections, each equal to its Keras twin."""

from kerasd2l._lazy import attach

_EXPORTS = {
    "attention": (
        "MultiHeadAttentionScratch",
        "dot_product_attention_scratch",
        "masked_softmax_scratch",
        "transpose_output",
        "transpose_qkv",
    ),
    "batch_norm": ("BatchNormScratch", "batch_normalize"),
    "chain_rule": ("chain_rule",),
    "computation_graph": ("computation_graph",),
    "convolution": (
        "Conv2DScratch",
        "corr2d",
        "corr2d_multi_in",
        "corr2d_multi_in_out",
        "corr2d_multi_in_out_1x1",
        "learn_kernel",
        "pool2d",
    ),
    "datasets": ("ArrayDataset", "DataLoader", "Dataset"),
    "descent": ("descent",),
    "devices": ("num_gpus", "try_all_gpus", "try_gpu"),
    "dropout": ("DropoutMLPScratch", "dropout_layer"),
    "floats": ("Float32",),
    "gated": ("GRUScratch", "LSTMScratch"),
    "hidden_markov": ("best_path_by_enumeration", "viterbi"),
    "initialization": (
        "XavierUniformScratch",
        "product_of_matrices",
        "propagate",
        "scaled_sigmoid",
        "xavier_bound",
        "xavier_variance",
    ),
    "linear_regression": (
        "LinearRegressionScratch",
        "SGDScratch",
        "closed_form",
        "data_iter",
        "linreg",
        "sgd",
        "squared_loss",
        "train_least_squares",
        "train_linear_regression",
    ),
    "logistic_regression": ("LogisticRegressionScratch",),
    "mlp": ("MLPScratch", "backpropagate", "relu"),
    "perceptron": ("Perceptron", "convergence_bound", "margin", "train_perceptron"),
    "recurrent": ("RNNScratch", "copy_to_keras"),
    "shift": ("confusion_matrix", "covariate_shift_weights", "label_shift_prior"),
    "softmax_regression": (
        "CrossEntropyScratch",
        "SoftmaxRegressionScratch",
        "accuracy",
        "cross_entropy",
        "log_softmax",
        "softmax",
        "stable_softmax",
    ),
    "stacked": ("BiRNNScratch", "RNNModelScratch", "StackedRNNScratch"),
    "tensor_files": ("load_tensors", "save_tensors"),
    "through_time": (
        "backpropagate_through_time",
        "global_norm",
        "grad_clipping",
        "gradient_by_powers",
        "random_factors",
        "rnn_objective",
        "scale_gradient",
        "truncation_factors",
    ),
    "weight_decay": (
        "WeightDecayScratch",
        "constrained",
        "l2_penalty",
        "project",
        "ridge",
        "train_weight_decay",
    ),
}

__getattr__, __dir__, __all__ = attach(
    __name__, {name: module for module, names in _EXPORTS.items() for name in names}
)
