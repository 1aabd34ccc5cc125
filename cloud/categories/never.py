"""What no category, and no field of the hub, may be about: ethnicity, religion, belief, and scores of persons.

A list of words cannot know every way to say it. It catches what is said openly, in Chinese or English, however it is
spelled: capitals, full-width letters, dashes and spaces between letters make no difference.
"""

import re
import unicodedata


def _listed(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_STEMS = _listed("""
    ethnic religio believ belief worship faithful atheis creed christian catholic protestant buddh muslim moslem islam
    taois daois hindu judais jewish mosque monaster falun evangel uyghur uighur tibetan mongol bouyei gelao hmong zhuang
    politicalview politicalopinion ideolog
""")
"""Found anywhere among the letters."""
_WORDS = frozenset(
    _listed("""
    race races racial tribe tribal minority minorities faith faiths church churches temple temples sect sects cult cults
    god gods jew jews miao score scores scoring rating ratings points ranking
    """)
)
"""Found as words of their own: longer words hold some of them by chance."""
_CHINESE = _listed("""
    族 种族 血统 血統 少数民 维吾尔 維吾爾 汉人 藏人 宗教 信仰 信教 教徒 信徒 教会 教會 教派 教友 佛教 道教 伊斯兰
    伊斯蘭 穆斯林 清真 基督 天主 东正 東正 犹太 猶太 寺 庙 廟 教堂 礼拜 禮拜 邪教 法轮 法輪 政见 政治观点 评分 評分
    打分 信用分 积分 積分 得分
""")
_INNOCENT = ("家族", "亲族", "上班族")
_AUTONOMOUS = re.compile(r"(?:[一-鿿]{1,4}?族)+(?:自治[区州县旗]|乡)")
"""Names of places: 紫云苗族布依族自治县 is one of Anshun's counties, and signs decisions."""


def forbidden_word(text: str) -> str | None:
    """The first word of a text that says it is about such a thing; None: none does."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    letters = "".join(each for each in plain if each.isalpha())
    for innocent in _INNOCENT:
        letters = letters.replace(innocent, "")
    for word in (*_CHINESE, *_STEMS):
        if word in letters:
            return word
    return next((word for word in re.split(r"[^a-z]+", plain) if word in _WORDS), None)


def forbidden_in_basis(text: str) -> str | None:
    """As `forbidden_word`, for a legal basis: names of autonomous counties and of towns are no such thing."""
    return forbidden_word(_AUTONOMOUS.sub("", unicodedata.normalize("NFKC", text)))
