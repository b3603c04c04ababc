from scripts.language import count_participles, count_vague_lines, is_participle


def test_sentences_say_who_does_what() -> None:
    vague = count_vague_lines()

    assert vague.per(10_000) < 3, vague.found


def test_functions_are_named_by_what_they_do() -> None:
    participles = count_participles()

    assert participles.per(100) < 2, participles.found


def test_an_imperative_is_no_participle() -> None:
    names = ["told", "_signed", "read", "run", "feed", "count_read", "unseen_by"]

    assert [name for name in names if is_participle(name)] == ["told", "_signed"]
