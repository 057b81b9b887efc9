"""A tokenizer small enough for examples and tests."""

from medllm.taggers.encoding import BREAKS, UnitTokenizer


def tiny_tokenizer(*, breaks: bool = True) -> UnitTokenizer:
    """Word pieces over single characters and a few words, in lower case, as BERT's."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    characters = [chr(c) for c in range(33, 127) if not chr(c).isupper()]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *BREAKS, *characters, *("##" + c for c in characters), "fever", "no", "pain"]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return UnitTokenizer(tokenizer, breaks=breaks)
