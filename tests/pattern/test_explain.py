import pytest

from wherry.pattern import parse

S3 = {
    "source": "aws.s3",
    "detail-type": "Object Created",
    "resources": ["arn:one", "arn:two"],
    "detail": {"bucket": {"name": "in"}, "object": {"key": "a.txt", "size": 5}, "empty": [], "é": "ü"},
}


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        (
            {"detail": {"object": {"key": [{"suffix": ".csv"}]}}},
            '`detail.object.key` is "a.txt": no entry of [{"suffix":".csv"}] matches',
        ),
        ({"detail": {"bucket": {"arn": ["x"]}}}, "`detail.bucket.arn` is absent"),
        ({"detail": {"bucket": ["in"]}}, "`detail.bucket` is absent: an object is no value"),
        ({"detail": {"empty": [{"exists": True}]}}, "`detail.empty` is absent: there is an empty list"),
        ({"detail": {"é": ["ö"]}}, '`detail.é` is "ü": no entry of ["ö"] matches'),
        (
            {"detail": {"object": {"size": [{"numeric": [">", 5]}]}}, "source": ["shop"]},
            '`source` is "aws.s3": no entry of ["shop"] matches',
        ),
        ({"source": [{"exists": False}]}, '`source` is "aws.s3": no entry of [{"exists":false}] matches'),
        (
            {"resources": ["arn:three"]},
            '`resources` is one of "arn:one", "arn:two": no entry of ["arn:three"] matches',
        ),
        (
            {"source": ["aws.s3"], "$or": [{"a": [1], "b": [2]}, {"detail": {"object": {"size": [6]}}}]},
            "no branch of `$or` matches; the nearest: `detail.object.size` is 5: no entry of [6] matches",
        ),
    ],
)
def test_why_not(pattern, sentence):
    assert parse(pattern).explain(S3) == sentence


def test_a_match_needs_no_explanation():
    assert parse({"source": ["aws.s3"]}).explain(S3) is None


def test_different_elements():
    pattern = parse({"e": {"f": ["x"], "g": [1]}})
    why = "`e.f` and `e.g` match, but not in the same element of an array"
    assert pattern.explain({"e": [{"f": "x"}, {"g": 1}]}) == why


def test_long_values_are_cut():
    pattern = parse({"a": ["x"]})
    assert len(pattern.explain({"a": "y" * 10_000}) or "") in range(200, 300)
    assert pattern.explain({"a": [1, 2, 3, 4, 5, 6, 7]}) == (
        '`a` is one of 1, 2, 3, 4, 5, 2 more: no entry of ["x"] matches'
    )
