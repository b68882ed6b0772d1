"""How much a reader takes from a file of a stranger, at most: all limits in one place.

Each is larger than what the data sets of the book need, and small enough that no file, however it
is packed, takes a gigabyte of memory. A reader takes another limit as an argument where it needs
one.
"""

# Bytes that lie in memory at once, unpacked.
TEXT_BYTES = 64 << 20  # the longest text here, fra.txt, has 34 MB with its attributions
TABLE_BYTES = 16 << 20  # house prices: 0.5 MB
JSON_BYTES = 16 << 20  # an empty object takes 3 bytes in the file, 64 in memory
MEMBER_BYTES = 128 << 20  # one file of an archive that is read without unpacking it
IDX_BYTES = 256 << 20  # MNIST: 47 MB; EMNIST's digits: 188 MB
BATCH_BYTES = 32 << 20  # a batch of CIFAR-10: 30.7 MB in binary, 31.0 MB as a pickle

# Pieces: each takes memory of its own, however short it is.
LINES = 800_000  # of a text; SNLI: 550,152
CHARACTERS = 12_000_000  # of a text that is cut into tokens; WikiText-2: 10.8 million
PAIR_LINE_BYTES = 1 << 16  # a line of SNLI, with its parses: up to 6,000
PAIR_BYTES = 1 << 30  # of a file of sentence pairs, which is read a line at a time; SNLI: 466 MB
REVIEW_BYTES = 1 << 20  # of one review; IMDB: 14,000
REVIEW_CHARACTERS = 100_000_000  # of all reviews together; IMDB: 66 million
DIFFERENT_WORDS = 2_000_000  # IMDB between spaces: 440,000
ROWS = 300_000  # of a table; the labels of CIFAR-10: 50,000
FIELDS = 1_000  # of a row; house prices: 81
CELLS = 20_000_000  # of an encoded table: a column for each code; house prices: a million
FIELD_CHARACTERS = 10_000
VECTOR_NUMBERS = 150_000_000  # of word vectors, as float32 600 MB; glove.6B.300d: 120 million
VECTOR_BYTES = 8 << 30  # read a line at a time; wiki.en: 6.6 GB
VECTOR_LINE_BYTES = 64 << 10  # a word and its vector; 300 numbers: 3 kB
NAME_CHARACTERS = 200  # every name is padded to the longest one
PICTURES = 100_000  # of an archive; CIFAR-10: 60,000
ANNOTATION_BYTES = 1 << 20  # of one picture; an XML of Pascal VOC: up to 30,000
ANNOTATIONS_BYTES = 32 << 20  # JSON of many pictures; COCO's val2017: 20 MB
PICKLE_STEPS = 500_000  # a batch of CIFAR-10 has some 50,000

# Archives.
FILES = 200_000  # members
UNPACKED_BYTES = 4 << 30  # on the disk
RATIO = 25.0  # unpacked bytes per packed byte, beyond SMALL_BYTES; text has 3 to 10
SMALL_BYTES = 10 << 20  # below so many a high ratio does no harm
HEADER_BYTES = 1 << 20  # of a tar, between two files
SILENT_BYTES = 1 << 20  # of gzip data out of which nothing comes
NAME_PARTS = 64  # folders within folders
NAME_LENGTH = 1_000

FLOAT = 3.4028234e38  # what is larger is infinite as a float32
