"""Arguments with which `check_recipe` runs a recipe whose defaults are too large for a test.

The same builders, with fewer blocks, narrower, and on smaller pictures. The small learning rate of
the networks with batch normalisation is for the comparison of replicas: with narrow layers, eight
pictures and the book's rate a step moves weights by more than one, and grows the rounding error
of 1e-6 of the first step past the tolerance by the third.
"""

SMALL_ARGUMENTS = {
    "computational_performance/resnet18_replicas": {
        "resize": 32,
        "width": 0.125,
        "depths": "1,1",
        "learning_rate": 0.001,
    },
    "computer_vision/fine_tuning": {
        "resize": 32,
        "width": 0.125,
        "depths": "1,1",
        "small_stem": "true",
        "frozen": "stem",
        "learning_rate": 1e-4,
    },
    "computer_vision/kaggle_dog": {
        "resize": 32,
        "width": 0.125,
        "depths": "1,1",
        "small_stem": "true",
        "hidden_units": "16",
        "learning_rate": 1e-4,
    },
    "computer_vision/neural_style": {"size": "32,48", "width": 0.1},
    "computer_vision/fcn": {
        "crop": "32,64",
        "width": 0.125,
        "depths": "1,1,1,1",
        "learning_rate": 1e-4,
    },
    # The coarsest map but one has 2 x 2 pixels: statistics of fewer numbers blow rounding up.
    "computer_vision/ssd_resnet": {
        "resize": 128,
        "width": 0.125,
        "depths": "1,1,1,1",
        "learning_rate": 1e-4,
    },
    "computer_vision/yolo": {
        "resize": 64,
        "width": 0.125,
        "depths": "1,1,1,1,1",
        "learning_rate": 1e-4,
    },
    "computer_vision/yolo_v1": {
        "resize": 64,
        "grid": 2,
        "width": 0.125,
        "depths": "1,1,1,1,1",
        "learning_rate": 1e-4,
    },
    "computer_vision/rcnn": {
        "resize": 64,
        "width": 0.125,
        "depths": "1,1",
        "crop": 24,
        "grid": 3,
        "num_samples": 8,
        "learning_rate": 1e-4,
    },
    "computer_vision/fast_rcnn": {
        "resize": 64,
        "width": 0.125,
        "depths": "1,1,1",
        "grid": 4,
        "head_units": 16,
        "learning_rate": 1e-4,
    },
    "computer_vision/faster_rcnn": {
        "resize": 64,
        "width": 0.125,
        "depths": "1,1,1",
        "num_proposals": 20,
        "num_samples": 16,
        "head_units": 16,
        "learning_rate": 1e-4,
    },
    "computer_vision/mask_rcnn": {
        "resize": 64,
        "width": 0.125,
        "depths": "1,1,1",
        "num_proposals": 20,
        "num_samples": 16,
        "head_units": 16,
        "mask_filters": "16",
        "learning_rate": 1e-4,
    },
    "computer_vision/fcn8s": {
        "crop": "32,64",
        "width": 0.125,
        "depths": "1,1,1,1",
        "learning_rate": 1e-4,
    },
    "computer_vision/unet": {"crop": "32,48", "width": 0.0625, "levels": 2},
    "computer_vision/kaggle_cifar10": {
        "width": 0.125,
        "depths": "1,1",
        "learning_rate": 1e-5,
    },
    "computer_vision/tiny_ssd": {"resize": 128, "learning_rate": 0.01},
    "computer_vision/train_with_data_aug": {
        "width": 0.125,
        "depths": "1",
        "crop_scale": 0.5,
        "learning_rate": 1e-4,
    },
    "convolutional_modern/alexnet": {"resize": 65, "width": 0.1, "dense_units": "32,32"},
    "convolutional_modern/vgg": {"resize": 32, "width": 0.1, "dense_units": "32,32"},
    "convolutional_modern/nin": {"resize": 67, "width": 0.1},
    "convolutional_modern/googlenet": {"resize": 32, "width": 0.125},
    "convolutional_modern/resnet18": {
        "resize": 32,
        "width": 0.125,
        "depths": "1,1",
        "learning_rate": 0.01,
    },
    "convolutional_modern/resnext": {
        "resize": 32,
        "width": 0.25,
        "depths": "1,1",
        "learning_rate": 0.01,
    },
    "convolutional_modern/densenet": {
        "resize": 32,
        "width": 0.25,
        "depths": "2,1",
        "learning_rate": 0.01,
    },
    "convolutional_modern/regnet": {
        "resize": 32,
        "width": 0.125,
        "depths": "1,1",
        "learning_rate": 0.01,
    },
    # Loops over time, written out, forwards and backwards.
    "lessons/names_classifier": {
        "num_layers": 1,
        "num_hiddens": 8,
        "embed_size": 8,
        "bidirectional": "false",  # tests/chapters/test_names_classifier.py trains both directions
    },
    **{
        f"recurrent_modern/{name}": {"num_hiddens": 16, "num_steps": 6}
        for name in ("gru_lm", "lstm_lm", "deep_lstm_lm")
    },
    "recurrent_modern/bidirectional_lstm_lm": {
        "num_layers": 1,
        "num_hiddens": 16,
        "num_steps": 6,
    },
    # Without dropout, so that replicas can be compared.
    "natural_language_processing_pretraining/bert_pretraining": {
        "num_hiddens": 8,
        "ffn_num_hiddens": 8,
        "num_layers": 1,
        "dropout_rate": 0,
        "max_len": 24,
    },
    **{
        f"natural_language_processing_applications/bert_{name}": {
            "num_hiddens": 8,
            "ffn_num_hiddens": 8,
            "num_layers": 1,
            "dropout_rate": 0,
            "max_len": 32,
            "examples": 100,
        }
        for name in ("single", "pair", "tagging", "answers")
    },
    "natural_language_processing_applications/bert_inference": {
        "num_hiddens": 8,
        "ffn_num_hiddens": 8,
        "num_heads": 2,
        "num_layers": 1,
        "dropout_rate": 0,
        "max_len": 32,
    },
    "recurrent_neural_networks/rnn_lm": {"num_hiddens": 16, "num_steps": 6},
    "attention_mechanisms/transformer": {
        "num_hiddens": 16,
        "num_layers": 1,
        "ffn_num_hiddens": 16,
        "num_examples": 64,
        "num_steps": 4,
    },
    "attention_mechanisms/bahdanau": {
        "num_layers": 1,
        "num_hiddens": 16,
        "num_examples": 64,
        "num_steps": 3,
    },
    "attention_mechanisms/vit": {
        "resize": 32,
        "num_hiddens": 16,
        "num_layers": 1,
        "num_heads": 2,
        "ffn_num_hiddens": 16,
    },
    "attention_mechanisms/gpt_lm": {
        "num_hiddens": 16,
        "num_layers": 1,
        "num_heads": 2,
        "num_steps": 16,
    },
    "recurrent_modern/seq2seq_gru": {
        "num_layers": 1,
        "num_examples": 64,
        "num_steps": 3,
    },
    "recurrent_modern/seq2seq_lstm": {
        "num_layers": 1,
        "num_examples": 64,
        "num_steps": 3,
    },
    **{
        f"natural_language_processing_pretraining/{name}": {"embed_size": 8}
        for name in ("glove", "word2vec")
    },
    "natural_language_processing_pretraining/fasttext": {
        "embed_size": 8,
        "buckets": 50,
        "max_n": 3,
    },
    "natural_language_processing_applications/birnn": {
        "num_layers": 1,
        "num_hiddens": 8,
        "embed_size": 8,
        "num_steps": 12,
    },
    "natural_language_processing_applications/textcnn": {
        "num_channels": "8,8,8",
        "embed_size": 8,
        "num_steps": 30,
    },
    "natural_language_processing_applications/decomposable_attention": {
        "num_hiddens": 16,
        "embed_size": 8,
    },
    # Every fold is a training of its own.
    "multilayer_perceptrons/house_prices": {"k": 2},
}

# Demos that train or measure for seconds; in their own size they are slow tests.
SMALL_DEMOS = {
    "computational_performance/hybridize": {"calls": 5},
    "computational_performance/async_computation": {"size": 200, "batches": 5},
    "computational_performance/auto_parallelism": {"steps": 10, "repeats": 1},
    "computational_performance/sharded_transformer": {"num_devices": 2, "num_layers": 1},
    "computational_performance/step_cost": {"batches": "2,4", "repeats": 1},
    "computer_vision/transfer_experiment": {
        "examples": 8,
        "seeds": 1,
        "epochs": 1,
        "pretraining_examples": 8,
        "pretraining_epochs": 1,
        "width": 0.125,
    },
    "layer_catalogue/recurrent_layers": {"num_steps": 20},
}
