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


_BOOK = """
2 preliminaries: Preliminaries
  2.1 ndarray: Data manipulation
  2.2 pandas: Data preprocessing
  2.3 linear-algebra: Linear algebra
  2.4 calculus: Calculus
  2.5 autograd: Automatic differentiation
  2.6 probability: Probability
  2.7 lookup-api: Documentation
3 linear_networks: Linear networks
  3.1 linear-regression: Linear regression
  3.2 linear-regression-scratch: Linear regression from scratch
  3.3 linear-regression-concise: Concise linear regression
  3.4 softmax-regression: Softmax regression
  3.5 loss-functions: Loss functions
  3.6 image-classification-dataset: The image classification data set
  3.7 softmax-regression-scratch: Softmax regression from scratch
  3.8 softmax-regression-concise: Concise softmax regression
  3.9 oo-design: Object-oriented design
  3.10 synthetic-regression-data: Synthetic regression data
  3.11 classification: The base classification model
  3.12 generalization: Generalization
  3.13 generalization-classification: Generalization in classification
4 multilayer_perceptrons: Multilayer perceptrons
  4.1 perceptron: The perceptron
  4.2 mlp: Multilayer perceptrons
  4.3 mlp-scratch: Multilayer perceptrons from scratch
  4.4 mlp-concise: Concise multilayer perceptrons
  4.5 underfit-overfit: Model selection, underfitting and overfitting
  4.6 weight-decay: Weight decay
  4.7 dropout: Dropout
  4.8 backprop: Forward propagation, backward propagation and computational graphs
  4.9 numerical-stability-and-init: Numerical stability and initialization
  4.10 environment: Environment and distribution shift
  4.11 kaggle-house-price: Predicting house prices on Kaggle
  4.12 generalization-deep: Generalization in deep learning
5 builders_guide: Builders' guide
  5.1 model-construction: Layers and modules
  5.2 parameters: Parameter management
  5.3 deferred-init: Deferred initialization
  5.4 custom-layer: Custom layers
  5.5 read-write: File input and output
  5.6 use-gpu: GPUs
6 convolutional_neural_networks: Convolutional neural networks
  6.1 why-conv: From fully connected layers to convolutions
  6.2 conv-layer: Convolutions for images
  6.3 padding-and-strides: Padding and stride
  6.4 channels: Multiple input and output channels
  6.5 pooling: Pooling
  6.6 lenet: LeNet
7 convolutional_modern: Modern convolutional neural networks
  7.1 alexnet: AlexNet
  7.2 vgg: Networks using blocks (VGG)
  7.3 nin: Network in network (NiN)
  7.4 googlenet: Networks with parallel branches (GoogLeNet)
  7.5 batch-norm: Batch normalization
  7.6 resnet: Residual networks (ResNet)
  7.7 resnext: Residual networks with groups (ResNeXt)
  7.8 densenet: Densely connected networks (DenseNet)
  7.9 cnn-design: Designing network architectures (AnyNet, RegNet)
8 recurrent_neural_networks: Recurrent neural networks
  8.1 sequence: Sequence models
  8.2 text-preprocessing: Text preprocessing
  8.3 language-models-and-dataset: Language models and the data set
  8.4 rnn: Recurrent neural networks
  8.5 rnn-scratch: Recurrent neural networks from scratch
  8.6 rnn-concise: Concise recurrent neural networks
  8.7 bptt: Backpropagation through time
9 recurrent_modern: Modern recurrent neural networks
  9.1 gru: Gated recurrent units (GRU)
  9.2 lstm: Long short-term memory (LSTM)
  9.3 deep-rnn: Deep recurrent neural networks
  9.4 bi-rnn: Bidirectional recurrent neural networks
  9.5 machine-translation-and-dataset: Machine translation and the data set
  9.6 encoder-decoder: The encoder-decoder architecture
  9.7 seq2seq: Sequence to sequence learning
  9.8 beam-search: Beam search
10 attention_mechanisms: Attention and Transformers
  10.1 attention-cues: Attention cues: queries, keys and values
  10.2 nadaraya-watson: Attention pooling: Nadaraya-Watson kernel regression
  10.3 attention-scoring-functions: Attention scoring functions
  10.4 bahdanau-attention: Bahdanau attention
  10.5 multihead-attention: Multi-head attention
  10.6 self-attention-and-positional-encoding: Self-attention and positional encoding
  10.7 transformer: The Transformer
  10.8 vision-transformer: Transformers for vision
  10.9 large-pretraining-transformers: Large-scale pre-training with Transformers
11 optimization: Optimization algorithms
  11.1 optimization-intro: Optimization and deep learning
  11.2 convexity: Convexity
  11.3 gd: Gradient descent
  11.4 sgd: Stochastic gradient descent
  11.5 minibatch-sgd: Minibatch stochastic gradient descent
  11.6 momentum: Momentum
  11.7 adagrad: Adagrad
  11.8 rmsprop: RMSProp
  11.9 adadelta: Adadelta
  11.10 adam: Adam
  11.11 lr-scheduler: Learning rate scheduling
12 computational_performance: Computational performance
  12.1 hybridize: Compilers and interpreters
  12.2 async-computation: Asynchronous computation
  12.3 auto-parallelism: Automatic parallelism
  12.4 hardware: Hardware
  12.5 multiple-gpus: Training on multiple GPUs
  12.6 multiple-gpus-concise: Concise implementation for multiple GPUs
  12.7 parameterserver: Parameter servers
13 computer_vision: Computer vision
  13.1 image-augmentation: Image augmentation
  13.2 fine-tuning: Fine-tuning
  13.3 bounding-box: Object detection and bounding boxes
  13.4 anchor: Anchor boxes
  13.5 multiscale-object-detection: Multiscale object detection
  13.6 object-detection-dataset: The object detection data set
  13.7 ssd: Single shot multibox detection (SSD)
  13.8 rcnn: Region-based CNNs (R-CNNs)
  13.9 semantic-segmentation-and-dataset: Semantic segmentation and the data set
  13.10 transposed-conv: Transposed convolution
  13.11 fcn: Fully convolutional networks
  13.12 neural-style: Neural style transfer
  13.13 kaggle-cifar10: Image classification (CIFAR-10) on Kaggle
  13.14 kaggle-dog: Dog breed identification (ImageNet Dogs) on Kaggle
14 natural_language_processing_pretraining: Natural language processing: pre-training
  14.1 word2vec: Word embedding (word2vec)
  14.2 approx-training: Approximate training
  14.3 word-embedding-dataset: The data set for pre-training word embeddings
  14.4 word2vec-pretraining: Pre-training word2vec
  14.5 glove: Word embedding with global vectors (GloVe)
  14.6 subword-embedding: Subword embedding
  14.7 similarity-analogy: Word similarity and analogy
  14.8 bert: Bidirectional encoder representations from Transformers (BERT)
  14.9 bert-dataset: The data set for pre-training BERT
  14.10 bert-pretraining: Pre-training BERT
15 natural_language_processing_applications: Natural language processing: applications
  15.1 sentiment-analysis-and-dataset: Sentiment analysis and the data set
  15.2 sentiment-analysis-rnn: Sentiment analysis with recurrent neural networks
  15.3 sentiment-analysis-cnn: Sentiment analysis with convolutional neural networks
  15.4 natural-language-inference-and-dataset: Natural language inference and the data set
  15.5 natural-language-inference-attention: Natural language inference with attention
  15.6 finetuning-bert: Fine-tuning BERT for sequences and tokens
  15.7 natural-language-inference-bert: Natural language inference: fine-tuning BERT
16 reinforcement_learning: Reinforcement learning
  16.1 mdp: Markov decision processes
  16.2 value-iter: Value iteration
  16.3 qlearning: Q-learning
17 gaussian_processes: Gaussian processes
  17.1 gp-intro: Introduction to Gaussian processes
  17.2 gp-priors: Gaussian process priors
  17.3 gp-inference: Gaussian process inference
18 hyperparameter_optimization: Hyperparameter optimization
  18.1 hyperopt-intro: What is hyperparameter optimization?
  18.2 hyperopt-api: The interface of hyperparameter optimization
  18.3 rs-async: Asynchronous random search
  18.4 sh-intro: Multi-fidelity hyperparameter optimization
  18.5 sh-async: Asynchronous successive halving
19 generative_adversarial_networks: Generative adversarial networks
  19.1 gan: Generative adversarial networks
  19.2 dcgan: Deep convolutional generative adversarial networks
20 recommender_systems: Recommender systems
  20.1 recsys-intro: Overview of recommender systems
  20.2 movielens: The MovieLens data set
  20.3 mf: Matrix factorization
  20.4 autorec: AutoRec: rating prediction with autoencoders
  20.5 ranking: Personalized ranking
  20.6 neumf: Neural collaborative filtering
  20.7 seqrec: Sequence-aware recommender systems
  20.8 ctr: Feature-rich recommender systems
  20.9 fm: Factorization machines
  20.10 deepfm: Deep factorization machines
21 appendix_mathematics: Appendix: mathematics for deep learning
  21.1 geometry-linear-algebraic-ops: Geometry and linear algebraic operations
  21.2 eigendecomposition: Eigendecompositions
  21.3 single-variable-calculus: Single variable calculus
  21.4 multivariable-calculus: Multivariable calculus
  21.5 integral-calculus: Integral calculus
  21.6 random-variables: Random variables
  21.7 maximum-likelihood: Maximum likelihood
  21.8 distributions: Distributions
  21.9 naive-bayes: Naive Bayes
  21.10 statistics: Statistics
  21.11 information-theory: Information theory
22 appendix_tools: Appendix: tools for deep learning
  22.1 utils: Utility functions and classes
L lessons: Course lessons
  L.0 float-representation: How floats are stored
  L.2 linear-model-exhaustive-search: A linear model by exhaustive search
  L.3 gradient-descent-and-sgd: Gradient descent
  L.4 backprop-by-hand: Backpropagation by hand
  L.5 linear-regression-four-steps: Linear regression in four steps
  L.6 logistic-regression: Logistic regression
  L.7 multi-dimensional-input: Inputs of several dimensions
  L.8 dataset-dataloader: Data set and loader
  L.9 softmax-mnist-mlp: Many classes: MNIST with a perceptron of several layers
  L.10 cnn-basic-mnist: A convolutional network for MNIST
  L.11a inception-cnn-mnist: Inception blocks for MNIST
  L.11b residual-cnn-mnist: Residual blocks for MNIST
  L.12 rnn-basics: Recurrent networks
  L.13 rnn-names-classifier: A classifier of names
S layer_catalogue: Layer catalogue
  S.1 norm-layers: Normalization
  S.2 basic-layers: Basic layers
  S.3 conv-layers: Convolutions and pooling
  S.4 conv-output-size: The size of a convolution's output
  S.5 conv-variants: Variants of convolution
  S.6 upsample: Upsampling
  S.7 rnn-layers: Recurrent layers
  S.8 transformer-layers: Transformer layers
  S.9 mha-scratch: Multi-head attention from scratch
  S.10 linear-from-scratch: A linear layer from scratch
"""


def _read(book: str) -> tuple[Chapter, ...]:
    """Read chapters, and under each its sections, from lines "number slug: title"."""
    rows: list[tuple[list[str], list[list[str]]]] = []
    for line in book.strip().splitlines():
        label, _, title = line.strip().partition(": ")
        words = [*label.split(" "), title]
        if line.startswith(" "):
            rows[-1][1].append(words)
        else:
            rows.append((words, []))
    return tuple(
        Chapter(
            number, slug, title, tuple(Section(n, label, text, slug) for n, label, text in lines)
        )
        for (number, slug, title), lines in rows
    )


CHAPTERS = _read(_BOOK)
SECTIONS = tuple(section for chapter in CHAPTERS for section in chapter.sections)
