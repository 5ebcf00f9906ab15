"""The examples run as their READMEs say, and so do the programs of the articles that wherry was asked to implement."""

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import wait_for

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = sorted(path.name for path in (ROOT / "examples").iterdir() if path.is_dir())
ARTICLES = ROOT.parent / "shared" / "articles"


@pytest.fixture
def example(project):
    def copy(name):
        shutil.copytree(
            ROOT / "examples" / name, project.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".wherry")
        )
        return project

    return copy


def ended(project) -> dict:
    runs = lambda: json.loads(project.wherry("runs", "--json").stdout)  # noqa: E731
    return wait_for(lambda: [run for run in runs() if run["ended_at"]], "the run")[0]


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_is_right(example, name):
    assert example(name).wherry("check").stdout.startswith(f"ok: {name}: ")


def test_csv_analyzer(example):
    project = example("csv-analyzer")
    project.up()
    project.wherry("cp", "data/airports.csv", "s3://user-uploads/")
    assert ended(project)["status"] == "succeeded"
    analysis = json.loads(project.wherry("cp", "s3://analysis-results/results/airports.csv.analysis.json", "-").stdout)
    assert analysis["row_count"] == 28_298
    assert analysis["columns"]["country"] == {"missing": 0, "distinct": 234}
    assert analysis["columns"]["elevation"]["max"] == 14965.0


def test_csv_analyzer_by_hand(example):
    project = example("csv-analyzer")
    project.file("small.csv", "a,b\n1,\n2,x\n")
    project.wherry("cp", "small.csv", "s3://user-uploads/in/small.csv")
    event = '{"detail": {"bucket": {"name": "user-uploads"}, "object": {"key": "in/small.csv"}}}'
    assert "2 rows, 2 columns" in project.wherry("run", "csv-analyzer", "--event", event).stdout


def test_shell_script(example):
    project = example("shell-script")
    done = project.wherry("run", "load-year", "--", "2018-11-15", "2019-02-01", "--label", "two words; and a * star")
    assert done.stdout.splitlines() == [
        "loading 2018-11-15 to 2019-02-01",
        "option: [--label]",
        "option: [two words; and a * star]",
        "  2018-11",
        "  2018-12",
        "  2019-01",
        "  2019-02",
        "done",
    ]
    assert project.wherry("run", "load-2018").stdout.count("  2018-") == 12
    assert "2020-03" in project.wherry("run", "load-year", "--command", "./load.sh 2020-01-01 2020-03-31").stdout


def test_scheduled(example):
    done = example("scheduled").wherry("run", "five-seconds")
    assert done.stdout.splitlines() == ["started by hand", *[f"{second} of 5" for second in range(1, 6)]]


@pytest.mark.skipif(not ARTICLES.is_dir(), reason="the articles' own files are not part of the repository")
def test_article_3s_analyzer_runs_as_it_is(example):
    """Upload sales_data.csv, find results/sales_data.csv.analysis.json."""
    project = example("csv-analyzer")
    shutil.copy(ARTICLES / "3-analyzer.py", project.folder / "analyzer.py")
    project.file("sales_data.csv", "region,amount\nnorth,1\nsouth,2\neast,3\n")
    project.up()
    project.wherry("cp", "sales_data.csv", "s3://user-uploads/")
    run = ended(project)
    assert run["status"] == "succeeded", project.wherry("logs", run["id"]).stdout
    analysis = json.loads(
        project.wherry("cp", "s3://analysis-results/results/sales_data.csv.analysis.json", "-").stdout
    )
    assert (analysis["row_count"], analysis["columns"]) == (3, ["region", "amount"])
    assert "Analysis complete: results/sales_data.csv.analysis.json" in project.wherry("logs", run["id"]).stdout
