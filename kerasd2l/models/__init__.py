"""Keras models of the book's sections, to import: `from kerasd2l.models import resnet18`.

One architecture a file under its own name, in `vision`, `sequence` and `tabular`.
"""

from kerasd2l.models.sequence.bahdanau import Seq2SeqAttentionDecoder, bahdanau
from kerasd2l.models.sequence.bert import (
    BERTEncoder,
    BERTModel,
    bert_base,
    bert_large,
)
from kerasd2l.models.sequence.bert_heads import BERTClassifier, BERTSpan, BERTTagger
from kerasd2l.models.sequence.bert_tasks import MaskLM, NextSentencePrediction
from kerasd2l.models.sequence.birnn import FirstAndLast, birnn
from kerasd2l.models.sequence.cbow import CBOW
from kerasd2l.models.sequence.decomposable_attention import (
    Aggregate,
    Attend,
    Compare,
    decomposable_attention,
)
from kerasd2l.models.sequence.glove import GloVe
from kerasd2l.models.sequence.gpt import GPT
from kerasd2l.models.sequence.language_model import (
    CarriedState,
    OneHot,
    language_model,
    state_sizes,
    with_state,
)
from kerasd2l.models.sequence.nadaraya_watson import NWKernelRegression
from kerasd2l.models.sequence.names_classifier import names_classifier
from kerasd2l.models.sequence.recurrent_stack import RecurrentStack
from kerasd2l.models.sequence.seq2seq import (
    Decoder,
    Encoder,
    EncoderDecoder,
    Seq2SeqDecoder,
    Seq2SeqEncoder,
    seq2seq,
)
from kerasd2l.models.sequence.sequence_mlp import sequence_mlp
from kerasd2l.models.sequence.sharding import transformer_layout
from kerasd2l.models.sequence.skip_gram import SkipGram
from kerasd2l.models.sequence.stepping import step_by_step
from kerasd2l.models.sequence.textcnn import ConvolutionsOverTime, textcnn
from kerasd2l.models.sequence.transformer import (
    TransformerDecoder,
    TransformerEncoder,
    transformer,
)
from kerasd2l.models.tabular.construction import (
    MLP,
    FixedHiddenMLP,
    MySequential,
    NestMLP,
    chimera,
    tied_mlp,
)
from kerasd2l.models.tabular.diabetes_mlp import diabetes_mlp
from kerasd2l.models.tabular.linear_regression import linear_regression
from kerasd2l.models.tabular.logistic_regression import logistic_regression
from kerasd2l.models.tabular.tabular_regression import tabular_regression
from kerasd2l.models.vision.alexnet import alexnet
from kerasd2l.models.vision.batch_norm_lenet import batch_norm_lenet
from kerasd2l.models.vision.densenet import dense_block, densenet, transition_block
from kerasd2l.models.vision.dropout_mlp import dropout_mlp
from kerasd2l.models.vision.fast_rcnn import FastRCNN
from kerasd2l.models.vision.faster_rcnn import FasterRCNN
from kerasd2l.models.vision.fcn import fcn, fcn8s
from kerasd2l.models.vision.googlenet import googlenet, inception_block
from kerasd2l.models.vision.image_network import ImageNetwork
from kerasd2l.models.vision.imagenet_resnet import imagenet_resnet, resnet_blocks
from kerasd2l.models.vision.imagenet_vgg import imagenet_vgg, vgg_feature, vgg_places
from kerasd2l.models.vision.lenet import lenet
from kerasd2l.models.vision.mask_rcnn import MaskRCNN
from kerasd2l.models.vision.mlp import mlp
from kerasd2l.models.vision.mnist_cnn import mnist_cnn
from kerasd2l.models.vision.mnist_inception import mnist_inception
from kerasd2l.models.vision.mnist_mlp import mnist_mlp
from kerasd2l.models.vision.mnist_resnet import mnist_resnet
from kerasd2l.models.vision.neural_style import (
    SynthesizedImage,
    content_loss,
    feature_extractor,
    gram,
    spread_features,
    style_loss,
    tv_loss,
)
from kerasd2l.models.vision.new_head import with_new_head
from kerasd2l.models.vision.nin import nin
from kerasd2l.models.vision.normalised import normalised
from kerasd2l.models.vision.rcnn import RCNN
from kerasd2l.models.vision.regnet import anynet, regnet
from kerasd2l.models.vision.resnet import residual_block, resnet18, resnext, resnext_block
from kerasd2l.models.vision.single_shot import (
    SingleShotDetector,
    anchor_sizes,
    bbox_predictor,
    cls_predictor,
    concat_preds,
    flatten_pred,
)
from kerasd2l.models.vision.softmax_regression import softmax_regression
from kerasd2l.models.vision.ssd import SSD
from kerasd2l.models.vision.tiny_ssd import TinySSD, base_net, down_sample_blk, get_blk
from kerasd2l.models.vision.unet import unet
from kerasd2l.models.vision.vgg import vgg
from kerasd2l.models.vision.vit import ClassToken, vit
from kerasd2l.models.vision.yolo import YOLO
from kerasd2l.models.vision.yolo_v1 import YOLOv1

__all__ = [
    "CBOW",
    "GPT",
    "MLP",
    "RCNN",
    "SSD",
    "YOLO",
    "Aggregate",
    "Attend",
    "BERTClassifier",
    "BERTEncoder",
    "BERTModel",
    "BERTSpan",
    "BERTTagger",
    "CarriedState",
    "ClassToken",
    "Compare",
    "ConvolutionsOverTime",
    "Decoder",
    "Encoder",
    "EncoderDecoder",
    "FastRCNN",
    "FasterRCNN",
    "FirstAndLast",
    "FixedHiddenMLP",
    "GloVe",
    "ImageNetwork",
    "MaskLM",
    "MaskRCNN",
    "MySequential",
    "NWKernelRegression",
    "NestMLP",
    "NextSentencePrediction",
    "OneHot",
    "RecurrentStack",
    "Seq2SeqAttentionDecoder",
    "Seq2SeqDecoder",
    "Seq2SeqEncoder",
    "SingleShotDetector",
    "SkipGram",
    "SynthesizedImage",
    "TinySSD",
    "TransformerDecoder",
    "TransformerEncoder",
    "YOLOv1",
    "alexnet",
    "anchor_sizes",
    "anynet",
    "bahdanau",
    "base_net",
    "batch_norm_lenet",
    "bbox_predictor",
    "bert_base",
    "bert_large",
    "birnn",
    "chimera",
    "cls_predictor",
    "concat_preds",
    "content_loss",
    "decomposable_attention",
    "dense_block",
    "densenet",
    "diabetes_mlp",
    "down_sample_blk",
    "dropout_mlp",
    "fcn",
    "fcn8s",
    "feature_extractor",
    "flatten_pred",
    "get_blk",
    "googlenet",
    "gram",
    "imagenet_resnet",
    "imagenet_vgg",
    "inception_block",
    "language_model",
    "lenet",
    "linear_regression",
    "logistic_regression",
    "mlp",
    "mnist_cnn",
    "mnist_inception",
    "mnist_mlp",
    "mnist_resnet",
    "names_classifier",
    "nin",
    "normalised",
    "regnet",
    "residual_block",
    "resnet18",
    "resnet_blocks",
    "resnext",
    "resnext_block",
    "seq2seq",
    "sequence_mlp",
    "softmax_regression",
    "spread_features",
    "state_sizes",
    "step_by_step",
    "style_loss",
    "tabular_regression",
    "textcnn",
    "tied_mlp",
    "transformer",
    "transformer_layout",
    "transition_block",
    "tv_loss",
    "unet",
    "vgg",
    "vgg_feature",
    "vgg_places",
    "vit",
    "with_new_head",
    "with_state",
]
