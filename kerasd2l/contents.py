"""The table of contents: every chapter and section of the book, of the lessons and the catalogue.

Numbers are those of the second edition of d2l-zh, where the English edition adds a section it has
the next one. Lessons are L.0 to L.13, the layer catalogue is S.1 to S.10. A section that is built
is the module `kerasd2l/chapters/<chapter>/<section>.py`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """A section of a chapter.

    Args:
        number: str, "8.5".
        slug: str, the book's label, "rnn-scratch".
        title: str.
        chapter: str, the slug of its chapter.
    """

    number: str
    slug: str
    title: str
    chapter: str

    @property
    def module(self) -> str:
        """The name of its file in the chapter's folder: "rnn_scratch"."""
        return self.slug.replace("-", "_")


@dataclass(frozen=True)
class Chapter:
    """A chapter: its folder is its slug.

    Args:
        number: str, "8".
        slug: str, "recurrent_neural_networks".
        title: str.
        sections: its sections in order.
    """

    number: str
    slug: str
    title: str
    sections: tuple[Section, ...]


def _chapter(number: str, slug: str, title: str, lines: str, numbers: str = "") -> Chapter:
    """Make a chapter from lines "slug: title", numbered from 1 or by `numbers`."""
    rows = [line.strip().partition(": ") for line in lines.strip().splitlines()]
    last = numbers.split() or [str(i + 1) for i in range(len(rows))]
    return Chapter(
        number,
        slug,
        title,
        tuple(
            Section(f"{number}.{place}", name, words, slug)
            for place, (name, _, words) in zip(last, rows, strict=True)
        ),
    )


CHAPTERS = (
    _chapter(
        "2",
        "preliminaries",
        "Preliminaries",
        """
        ndarray: Data manipulation
        pandas: Data preprocessing
        linear-algebra: Linear algebra
        calculus: Calculus
        autograd: Automatic differentiation
        probability: Probability
        lookup-api: Documentation
        """,
    ),
    _chapter(
        "3",
        "linear_networks",
        "Linear networks",
        """
        linear-regression: Linear regression
        linear-regression-scratch: Linear regression from scratch
        linear-regression-concise: Concise linear regression
        softmax-regression: Softmax regression
        loss-functions: Loss functions
        image-classification-dataset: The image classification data set
        softmax-regression-scratch: Softmax regression from scratch
        softmax-regression-concise: Concise softmax regression
        oo-design: Object-oriented design
        synthetic-regression-data: Synthetic regression data
        classification: The base classification model
        generalization: Generalization
        generalization-classification: Generalization in classification
        """,
    ),
    _chapter(
        "4",
        "multilayer_perceptrons",
        "Multilayer perceptrons",
        """
        perceptron: The perceptron
        mlp: Multilayer perceptrons
        mlp-scratch: Multilayer perceptrons from scratch
        mlp-concise: Concise multilayer perceptrons
        underfit-overfit: Model selection, underfitting and overfitting
        weight-decay: Weight decay
        dropout: Dropout
        backprop: Forward propagation, backward propagation and computational graphs
        numerical-stability-and-init: Numerical stability and initialization
        environment: Environment and distribution shift
        kaggle-house-price: Predicting house prices on Kaggle
        generalization-deep: Generalization in deep learning
        """,
    ),
    _chapter(
        "5",
        "builders_guide",
        "Builders' guide",
        """
        model-construction: Layers and modules
        parameters: Parameter management
        deferred-init: Deferred initialization
        custom-layer: Custom layers
        read-write: File input and output
        use-gpu: GPUs
        """,
    ),
    _chapter(
        "6",
        "convolutional_neural_networks",
        "Convolutional neural networks",
        """
        why-conv: From fully connected layers to convolutions
        conv-layer: Convolutions for images
        padding-and-strides: Padding and stride
        channels: Multiple input and output channels
        pooling: Pooling
        lenet: LeNet
        """,
    ),
    _chapter(
        "7",
        "convolutional_modern",
        "Modern convolutional neural networks",
        """
        alexnet: AlexNet
        vgg: Networks using blocks (VGG)
        nin: Network in network (NiN)
        googlenet: Networks with parallel branches (GoogLeNet)
        batch-norm: Batch normalization
        resnet: Residual networks (ResNet)
        resnext: Residual networks with groups (ResNeXt)
        densenet: Densely connected networks (DenseNet)
        cnn-design: Designing network architectures (AnyNet, RegNet)
        """,
    ),
    _chapter(
        "8",
        "recurrent_neural_networks",
        "Recurrent neural networks",
        """
        sequence: Sequence models
        text-preprocessing: Text preprocessing
        language-models-and-dataset: Language models and the data set
        rnn: Recurrent neural networks
        rnn-scratch: Recurrent neural networks from scratch
        rnn-concise: Concise recurrent neural networks
        bptt: Backpropagation through time
        """,
    ),
    _chapter(
        "9",
        "recurrent_modern",
        "Modern recurrent neural networks",
        """
        gru: Gated recurrent units (GRU)
        lstm: Long short-term memory (LSTM)
        deep-rnn: Deep recurrent neural networks
        bi-rnn: Bidirectional recurrent neural networks
        machine-translation-and-dataset: Machine translation and the data set
        encoder-decoder: The encoder-decoder architecture
        seq2seq: Sequence to sequence learning
        beam-search: Beam search
        """,
    ),
    _chapter(
        "10",
        "attention_mechanisms",
        "Attention and Transformers",
        """
        attention-cues: Attention cues: queries, keys and values
        nadaraya-watson: Attention pooling: Nadaraya-Watson kernel regression
        attention-scoring-functions: Attention scoring functions
        bahdanau-attention: Bahdanau attention
        multihead-attention: Multi-head attention
        self-attention-and-positional-encoding: Self-attention and positional encoding
        transformer: The Transformer
        vision-transformer: Transformers for vision
        large-pretraining-transformers: Large-scale pre-training with Transformers
        """,
    ),
    _chapter(
        "11",
        "optimization",
        "Optimization algorithms",
        """
        optimization-intro: Optimization and deep learning
        convexity: Convexity
        gd: Gradient descent
        sgd: Stochastic gradient descent
        minibatch-sgd: Minibatch stochastic gradient descent
        momentum: Momentum
        adagrad: Adagrad
        rmsprop: RMSProp
        adadelta: Adadelta
        adam: Adam
        lr-scheduler: Learning rate scheduling
        """,
    ),
    _chapter(
        "12",
        "computational_performance",
        "Computational performance",
        """
        hybridize: Compilers and interpreters
        async-computation: Asynchronous computation
        auto-parallelism: Automatic parallelism
        hardware: Hardware
        multiple-gpus: Training on multiple GPUs
        multiple-gpus-concise: Concise implementation for multiple GPUs
        parameterserver: Parameter servers
        """,
    ),
    _chapter(
        "13",
        "computer_vision",
        "Computer vision",
        """
        image-augmentation: Image augmentation
        fine-tuning: Fine-tuning
        bounding-box: Object detection and bounding boxes
        anchor: Anchor boxes
        multiscale-object-detection: Multiscale object detection
        object-detection-dataset: The object detection data set
        ssd: Single shot multibox detection (SSD)
        rcnn: Region-based CNNs (R-CNNs)
        semantic-segmentation-and-dataset: Semantic segmentation and the data set
        transposed-conv: Transposed convolution
        fcn: Fully convolutional networks
        neural-style: Neural style transfer
        kaggle-cifar10: Image classification (CIFAR-10) on Kaggle
        kaggle-dog: Dog breed identification (ImageNet Dogs) on Kaggle
        """,
    ),
    _chapter(
        "14",
        "natural_language_processing_pretraining",
        "Natural language processing: pre-training",
        """
        word2vec: Word embedding (word2vec)
        approx-training: Approximate training
        word-embedding-dataset: The data set for pre-training word embeddings
        word2vec-pretraining: Pre-training word2vec
        glove: Word embedding with global vectors (GloVe)
        subword-embedding: Subword embedding
        similarity-analogy: Word similarity and analogy
        bert: Bidirectional encoder representations from Transformers (BERT)
        bert-dataset: The data set for pre-training BERT
        bert-pretraining: Pre-training BERT
        """,
    ),
    _chapter(
        "15",
        "natural_language_processing_applications",
        "Natural language processing: applications",
        """
        sentiment-analysis-and-dataset: Sentiment analysis and the data set
        sentiment-analysis-rnn: Sentiment analysis with recurrent neural networks
        sentiment-analysis-cnn: Sentiment analysis with convolutional neural networks
        natural-language-inference-and-dataset: Natural language inference and the data set
        natural-language-inference-attention: Natural language inference with attention
        finetuning-bert: Fine-tuning BERT for sequences and tokens
        natural-language-inference-bert: Natural language inference: fine-tuning BERT
        """,
    ),
    _chapter(
        "16",
        "reinforcement_learning",
        "Reinforcement learning",
        """
        mdp: Markov decision processes
        value-iter: Value iteration
        qlearning: Q-learning
        """,
    ),
    _chapter(
        "17",
        "gaussian_processes",
        "Gaussian processes",
        """
        gp-intro: Introduction to Gaussian processes
        gp-priors: Gaussian process priors
        gp-inference: Gaussian process inference
        """,
    ),
    _chapter(
        "18",
        "hyperparameter_optimization",
        "Hyperparameter optimization",
        """
        hyperopt-intro: What is hyperparameter optimization?
        hyperopt-api: The interface of hyperparameter optimization
        rs-async: Asynchronous random search
        sh-intro: Multi-fidelity hyperparameter optimization
        sh-async: Asynchronous successive halving
        """,
    ),
    _chapter(
        "19",
        "generative_adversarial_networks",
        "Generative adversarial networks",
        """
        gan: Generative adversarial networks
        dcgan: Deep convolutional generative adversarial networks
        """,
    ),
    _chapter(
        "20",
        "recommender_systems",
        "Recommender systems",
        """
        recsys-intro: Overview of recommender systems
        movielens: The MovieLens data set
        mf: Matrix factorization
        autorec: AutoRec: rating prediction with autoencoders
        ranking: Personalized ranking
        neumf: Neural collaborative filtering
        seqrec: Sequence-aware recommender systems
        ctr: Feature-rich recommender systems
        fm: Factorization machines
        deepfm: Deep factorization machines
        """,
    ),
    _chapter(
        "21",
        "appendix_mathematics",
        "Appendix: mathematics for deep learning",
        """
        geometry-linear-algebraic-ops: Geometry and linear algebraic operations
        eigendecomposition: Eigendecompositions
        single-variable-calculus: Single variable calculus
        multivariable-calculus: Multivariable calculus
        integral-calculus: Integral calculus
        random-variables: Random variables
        maximum-likelihood: Maximum likelihood
        distributions: Distributions
        naive-bayes: Naive Bayes
        statistics: Statistics
        information-theory: Information theory
        """,
    ),
    _chapter(
        "22",
        "appendix_tools",
        "Appendix: tools for deep learning",
        "utils: Utility functions and classes",
    ),
    _chapter(
        "L",
        "lessons",
        "Course lessons",
        """
        float-representation: How floats are stored
        linear-model-exhaustive-search: A linear model by exhaustive search
        gradient-descent-and-sgd: Gradient descent
        backprop-by-hand: Backpropagation by hand
        linear-regression-four-steps: Linear regression in four steps
        logistic-regression: Logistic regression
        multi-dimensional-input: Inputs of several dimensions
        dataset-dataloader: Data set and loader
        softmax-mnist-mlp: Many classes: MNIST with a perceptron of several layers
        cnn-basic-mnist: A convolutional network for MNIST
        inception-cnn-mnist: Inception blocks for MNIST
        residual-cnn-mnist: Residual blocks for MNIST
        rnn-basics: Recurrent networks
        rnn-names-classifier: A classifier of names
        """,
        numbers="0 2 3 4 5 6 7 8 9 10 11a 11b 12 13",
    ),
    _chapter(
        "S",
        "layer_catalogue",
        "Layer catalogue",
        """
        norm-layers: Normalization
        basic-layers: Basic layers
        conv-layers: Convolutions and pooling
        conv-output-size: The size of a convolution's output
        conv-variants: Variants of convolution
        upsample: Upsampling
        rnn-layers: Recurrent layers
        transformer-layers: Transformer layers
        mha-scratch: Multi-head attention from scratch
        linear-from-scratch: A linear layer from scratch
        """,
    ),
)
SECTIONS = tuple(section for chapter in CHAPTERS for section in chapter.sections)
