from scripts.language import count_vague_lines, is_participle


def test_sentences_say_who_does_what() -> None:
    vague = count_vague_lines()

    assert vague.per(10_000) < 3, vague.found


def test_an_imperative_is_no_participle() -> None:
    names = ["told", "_signed", "read", "run", "feed", "count_read", "unseen_by"]

    assert [name for name in names if is_participle(name)] == ["told", "_signed"]
