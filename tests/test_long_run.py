import json
import sys

import pytest
from long_run import differing, measure


def write_report(folder, created, content):
    (folder / "photos").mkdir(parents=True)
    (folder / "findings.json").write_text(json.dumps({"created": created, "content": content}))
    (folder / "photos" / "a.json").write_text("1")
    (folder / "report.html").write_text(f"<body data-created={created}> Made {created[:16].replace('T', ' ')} UTC.")
    return folder


def test_reports_may_differ_in_their_date_alone(tmp_path):
    one = write_report(tmp_path / "one", "2026-01-02T03:04:05+00:00", 1)
    assert differing(one, write_report(tmp_path / "later", "2026-01-02T09:09:09+00:00", 1)) == []
    other = write_report(tmp_path / "other", "2026-01-02T03:04:05+00:00", 2)
    (other / "photos" / "b.json").write_text("1")
    assert differing(one, other) == ["findings.json", "photos/b.json"]
    (other / "report.html").write_text("Made 2026-01-02 03:04 UTC. Another photo.")
    assert "report.html" in differing(one, other)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_a_run_with_kills_equals_an_undisturbed_one_in_bounded_memory(tmp_path):
    """The command of tests/long_run.py with fewer photos; its photos a second are no matter of a busy test machine."""
    found = measure(tmp_path, count=8, kills=2)
    assert (found["differing"], found["repeated"]) == ([], 0)
    assert found["megabytes"] < 500
