"""examples/geojson: GeoJSON files land in a bucket, workers of a queue measure them; wherry's own worker, and one's own."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import BIN, wait_for

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples" / "geojson"
#: A degree by a degree at the equator: km², and km around it; GeographicLib's Planimeter says so.
CELL, AROUND = 12308.778, 443.771
SQUARE = [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]


@pytest.fixture(scope="module")
def programs():
    """A virtual environment with what the example needs, made once."""
    wanted = EXAMPLE / "requirements.txt"
    folder = ROOT / ".venv" / f"geojson-{hashlib.sha256(wanted.read_bytes()).hexdigest()[:12]}"
    if not (folder / "complete").exists():
        subprocess.run([f"{BIN}/uv", "venv", "-q", "--clear", folder], check=True)
        python = ["--python", f"{folder}/bin/python"]
        subprocess.run([f"{BIN}/uv", "pip", "install", "-q", *python, "-r", wanted], check=True, timeout=300)
        (folder / "complete").touch()
    return folder / "bin"


@pytest.fixture
def example(project, programs, monkeypatch):
    """The example without what was fetched; `python` is the one that has the libraries."""
    monkeypatch.setenv("PATH", f"{programs}:{BIN}:{os.environ['PATH']}")
    unwanted = shutil.ignore_patterns(".wherry", ".venv", "countries-*")
    shutil.copytree(EXAMPLE, project.folder, dirs_exist_ok=True, ignore=unwanted)
    return project


def feature(geometry, **properties):
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def measured(project, programs, document, code=0):
    text = document if isinstance(document, str) else json.dumps(document)
    file = project.file("some.geojson", text)
    done = subprocess.run(
        [programs / "python", "measure.py", file.name], cwd=project.folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    return done.stderr if code else json.loads(done.stdout)


def result(project, key):
    """What has been measured of an upload, once it is there."""
    done = wait_for(
        lambda: (found := project.wherry("cp", f"s3://measures/{key}.json", "-", code=None)).returncode == 0 and found,
        f"the result of {key}",
    )
    return json.loads(done.stdout)


def runs(project):
    return json.loads(project.wherry("runs", "--json").stdout)


def peak(project, run):
    """The most memory that a run's only attempt had, in bytes."""
    (attempt,) = json.loads(project.wherry("show", run, "--json").stdout)["attempts"]
    return attempt["peak_memory"]


def queue(project):
    (state,) = json.loads(project.wherry("queues", "--json").stdout)
    return state


def test_areas_lengths_and_centres_are_those_of_the_ellipsoid(example, programs):
    hole = [[x / 2 + 0.25, y / 2 + 0.25] for x, y in SQUARE]
    features = [
        feature({"type": "Polygon", "coordinates": [SQUARE]}, name="cell"),
        feature({"type": "Polygon", "coordinates": [SQUARE[::-1]]}, name="the other way round"),
        feature({"type": "Polygon", "coordinates": [SQUARE, hole]}, name="a quarter less"),
        feature(
            {
                "type": "MultiPolygon",
                "coordinates": [[[[180 - x, y] for x, y in SQUARE]], [[[x - 180, y] for x, y in SQUARE]]],
            },
            name="on the date line",
        ),
        feature({"type": "LineString", "coordinates": [[0, 0], [1, 0]]}),
        feature({"type": "Point", "coordinates": [-3, 50]}),
        feature(None),
    ]
    found = measured(example, programs, {"features": features, "type": "FeatureCollection"})
    assert found["features"] == {"LineString": 1, "MultiPolygon": 1, "Point": 1, "Polygon": 3, "none": 1}
    largest = {one["name"]: one for one in found["largest"]}
    assert next(iter(largest)) == "on the date line"
    assert largest["cell"]["area_km2"] == largest["the other way round"]["area_km2"] == CELL
    assert largest["cell"]["boundary_km"] == AROUND
    assert largest["a quarter less"]["area_km2"] == pytest.approx(CELL * 0.75, rel=1e-3)
    assert largest["on the date line"]["area_km2"] == pytest.approx(2 * CELL, abs=0.002)
    assert abs(largest["on the date line"]["centre"][0]) == 180
    assert found["lines_km"] == pytest.approx(111.319, abs=0.001)
    assert found["bbox"] == [-180, 0, 180, 50]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("", "parse error"),
        ('{"type": "FeatureCollection", "features": [{"type": "Fea', "parse error"),
        ('{"type": "Topology", "objects": {}}', "it is no FeatureCollection"),
        ({"type": "FeatureCollection", "features": [7]}, "item 1 of its `features` is no feature"),
        (
            {"type": "FeatureCollection", "features": [feature({"type": "Polygon", "coordinates": [[[0, 0]]]}, a="X")]},
            "the geometry of `X` is none",
        ),
    ],
)
def test_what_is_no_geojson_is_said_to_be_none(example, programs, document, said):
    assert said in measured(example, programs, document, code=65)


def test_files_of_tens_of_megabytes_are_measured_one_message_each(example):
    subprocess.run(["./fetch.sh", "1km"], cwd=example.folder, check=True, capture_output=True, timeout=120)
    example.up()
    for file in ("countries-1km", "north"):
        example.wherry("cp", f"data/{file}.geojson", f"s3://geodata/2017/{file}.geojson")
    example.file("broken.geojson", "no GeoJSON")
    example.wherry("cp", "broken.geojson", "s3://geodata/broken.geojson")
    example.wherry("cp", "broken.geojson", "s3://geodata/notes.txt")
    north = result(example, "2017/north.geojson")
    assert (north["file"], north["features"]) == ("north.geojson", {"MultiPolygon": 9, "Polygon": 2})
    world = result(example, "2017/countries-1km.geojson")
    assert (world["bytes"], world["points"]) == (22_559_443, 1_335_650)
    # all land without inland waters, and three countries, as others have measured them
    assert world["area_km2"] == pytest.approx(146e6, rel=0.01)
    areas = {one["name"]: one["area_km2"] for one in world["largest"]}
    assert areas["AUS"] == pytest.approx(7.69e6, rel=0.02)
    assert areas["IND"] == pytest.approx(3.17e6, rel=0.05)
    wait_for(lambda: all(run["ended_at"] for run in runs(example)), "the runs")
    succeeded, failed = (
        [run["id"] for run in runs(example) if run["status"] == word] for word in ("succeeded", "failed")
    )
    assert (len(succeeded), len(failed)) == (2, 1)
    assert "broken.geojson: lexical error" in example.wherry("logs", failed[0]).stdout
    # read feature by feature: loaded as a whole the larger file takes twice as much
    assert max(peak(example, run) for run in succeeded) < 250e6
    state = queue(example)
    assert (state["waiting"], state["in_flight"], state["dead"]) == (0, 0, 0)


def test_a_worker_of_ones_own_does_the_same(example):
    shutil.copy(example.folder / "polling.yaml", example.folder / "wherry.yaml")
    example.up()
    example.wherry("cp", "data/north.geojson", "s3://geodata/a folder/north.geojson")
    assert result(example, "a folder/north.geojson")["features"] == {"MultiPolygon": 9, "Polygon": 2}
    wait_for(lambda: queue(example)["in_flight"] == 0, "the message to be deleted")
    assert (queue(example)["waiting"], queue(example)["dead"]) == (0, 0)
