"""Chinese notes: broken lines, headings, sentences, pieces and language, mixed with English and in both scripts."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medllm.text.broken import broken_lines
from medllm.text.chunks import split_chunks
from medllm.text.language import language_of
from medllm.text.lines import split_lines
from medllm.text.pieces import split_pieces
from medllm.text.sections import split_sections

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
WORDS = [
    "患者头痛三天",
    "无恶心、",
    "呕吐",
    "。",
    "，",
    "；",
    "Aspirin 100mg qd",
    "38.5℃",
    "\n",
    "\r\n",
    "\u3000",
    "主诉：",
    "現病史",
    "（-）",
    "(+)",
]
NOTES = st.lists(st.sampled_from(WORDS), max_size=60).map("".join)

PAGE = (
    "患者三天前受凉后出现头痛、发热，无恶心、呕吐，无寒\n战，自服退热药物后体温可降至正常，未再就诊，今日再\n次出现高热。\n否认药物过敏。"
)


def views(text):
    return [line.view for line in split_lines(text)]


def test_a_word_broken_at_the_end_of_a_line_is_whole_again_and_keeps_its_offsets():
    (first, second) = split_lines(PAGE)[0], split_lines(PAGE)[-1]
    assert "无寒战，自服" in "".join(views(PAGE))
    assert "今日再次出现" in "".join(views(PAGE))
    assert second.view == "否认药物过敏。"
    pieces = [p for line in split_lines(PAGE) for p in line.pieces]
    cold = next(i for i, p in enumerate(pieces) if p.text == "寒")
    assert PAGE[pieces[cold].start : pieces[cold + 1].end] == "寒\n战"
    assert first.start == 0


@pytest.mark.parametrize(
    "text",
    [
        "头痛\n发热\n咳嗽",  # a list of short lines
        "患者三天前受凉后出现头痛发热咳嗽咳痰。\n否认药物过敏。",  # the line ends with its sentence
        "患者三天前受凉后出现头痛发热咳嗽咳痰\n现病史：无特殊。",  # a heading begins
        "患者三天前受凉后出现头痛发热咳嗽咳痰\n1. 肺炎",  # a list
        "患者三天前受凉后出现头痛发热咳嗽咳痰\n\n体温正常",  # a paragraph
        "患者三天前受凉后出现头痛发热咳嗽咳痰\nBP 120/80",
        "2型糖尿病伴周围神经病变及糖尿病肾病\n高血压病\n冠状动脉粥样硬化性心脏病心功能三级不稳定型心绞痛",  # much shorter than others
    ],
)
def test_lines_that_were_not_broken_stay_apart(text):
    assert "".join(text[start:end] for start, end in broken_lines(text)) == text
    assert views(text) == [line for line in text.split("\n") if line]


@quick
@given(NOTES)
def test_pieces_lie_in_the_note_and_chunks_cover_it(text):
    lines = split_lines(text)
    assert [(p.text, p.start) for line in lines for p in line.pieces] == [(p.text, p.start) for p in split_pieces(text, 0, len(text))]
    assert "".join(text[start:end] for start, end in broken_lines(text)) == text
    chunks = split_chunks(text, len, 40)
    assert (chunks[0].start, chunks[-1].end) == (0, len(text))
    assert sum(len(chunk.lines) for chunk in chunks) == len(lines)
    assert "\n" not in "".join(line.view for line in lines)


@quick
@given(st.text(alphabet="患者头痛发热咳嗽气促", min_size=40, max_size=200), st.integers(18, 30))
def test_text_broken_at_any_width_reads_as_it_was(text, width):
    broken = "\n".join(text[i : i + width] for i in range(0, len(text), width))
    assert "".join(views(broken)) == "".join(views(text)) == text


def test_each_character_is_a_piece_and_western_words_and_numbers_are_whole():
    text = "予Aspirin肠溶片100mg，T38.5℃；ＷＢＣ　9.1×10⁹/L"
    pieces = [p.text for p in split_pieces(text, 0, len(text))]
    assert pieces[:7] == ["予", "Aspirin", "肠", "溶", "片", "100", "mg"]
    assert pieces[7:14] == ["，", "T", "38", ".", "5", "℃", "；"]
    assert pieces[14] == "ＷＢＣ"


def test_sentences_end_at_chinese_marks_and_not_inside_numbers_or_brackets():
    text = "体温38.5℃，脉搏96次/分（规律）。双肺呼吸音粗；未闻及啰音！既往体健？“是的。”患者自述近日一般情况尚可，饮食睡眠如常。"
    assert views(text) == [
        "体温38.5℃，脉搏96次/分（规律）。",
        "双肺呼吸音粗；",
        "未闻及啰音！",
        "既往体健？",
        "“是的。”",
        "患者自述近日一般情况尚可，饮食睡眠如常。",
    ]


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ("主诉：头痛3天。现病史：3天前起病。既往史：体健。家族史：无。", ["主诉", "现病史", "既往史", "家族史"]),
        ("一、主　訴：頭痛\n二、現病史\n三天前起病\n【查體】T 36.5", ["主　訴", "現病史", "查體"]),
        ("主诉 头痛3天\n1.诊断：肺炎\n（二）处理意见：休息\n辅 助 检 查：CT", ["主诉", "诊断", "处理意见", "辅 助 检 查"]),
        ("查体: T 36.5；处理：休息", ["查体", "处理"]),
    ],
)
def test_chinese_headings(text, titles):
    assert [s.title for s in split_sections(text)] == titles


@pytest.mark.parametrize("text", ["诊断明确，治疗：抗感染", "主诉不清", "家族史不详", "患者既往史无特殊", "1.5处理：", "医嘱离院"])
def test_words_that_are_no_headings(text):
    assert [s.title for s in split_sections(text)] == [""]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("患者主诉头痛、发热。", "zh"),
        ("予Metoprolol succinate 47.5mg qd、Atorvastatin 20mg qn口服，无胸痛。", "zh"),
        ("患者主訴頭痛", "zh"),
        ("BP 120/80, T 38.5", "en"),
        ("The patient (王某某) denies chest pain, shortness of breath and palpitations.", "en"),
        ("", "en"),
        ("38.5 ℃ 。", "en"),
    ],
)
def test_the_language_of_a_note(text, language):
    assert language_of(text) == language
