from tests.local import scale_ins


def test_no_work_is_cut_off_and_there_is_nobody_left(tmp_path):
    story = scale_ins.storm(tmp_path, scale_ins=40, seed=20260301)
    assert scale_ins.check(story) == []
    assert story.scale_ins >= 40
    assert len(story.sent) >= 40
    assert story.zeros >= 2
