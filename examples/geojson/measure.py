"""Measures a GeoJSON file on the WGS 84 ellipsoid, feature by feature: it takes the memory of the largest one.

    python measure.py FILE

The result is JSON: in the object that OUTPUT names (`s3://BUCKET/KEY`), else on standard output. A file that is no
GeoJSON ends it with exit code 65: no further attempt would do better.
"""

import heapq
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import boto3
import ijson
import numpy as np
import pyproj
import shapely

#: sysexits.h: the input is wrong.
DATA_ERROR = 65
#: So many of the largest features are told of, and of the invalid ones.
MOST = 10
WGS84 = pyproj.Geod(ellps="WGS84")
#: To a plane on which areas are right, and with them the centres of areas.
EQUAL_AREA = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:6933", always_xy=True)


class NotGeoJson(Exception):
    """The file is no FeatureCollection, or one of its features is none."""


class Sums:
    """What is known of the features so far."""

    def __init__(self) -> None:
        self.types: Counter[str] = Counter()
        self.points = 0
        #: m², m, m
        self.area = self.boundary = self.lines = 0.0
        self.centre = np.zeros(3)
        self.low, self.high = np.full(2, np.inf), np.full(2, -np.inf)
        self.invalid: list[str] = []
        #: (area, order, what to tell), a heap
        self.largest: list[tuple[float, int, dict[str, Any]]] = []

    def add(self, name: str, geometry: shapely.Geometry | None) -> None:
        """One feature more; it may have no geometry."""
        self.types[geometry.geom_type if geometry is not None else "none"] += 1
        if geometry is None or geometry.is_empty:
            return
        points = shapely.get_coordinates(geometry)
        self.points += len(points)
        self.low, self.high = np.minimum(self.low, points.min(axis=0)), np.maximum(self.high, points.max(axis=0))
        if not geometry.is_valid:
            self.invalid.append(f"{name}: {shapely.is_valid_reason(geometry)}")
        # a collection may have collections in it
        parts = shapely.get_parts(shapely.get_parts(geometry))
        kinds = shapely.get_type_id(parts)
        self.lines += sum(length(line) for line in parts[kinds == shapely.GeometryType.LINESTRING])
        self._add_areas(name, parts[kinds == shapely.GeometryType.POLYGON])

    def _add_areas(self, name: str, polygons: np.ndarray) -> None:
        if not len(polygons):
            return
        areas, boundary = measure_polygons(polygons)
        area, centre = float(areas.sum()), centre_of(polygons, areas)
        self.area, self.boundary, self.centre = self.area + area, self.boundary + boundary, self.centre + centre
        told = {
            "name": name,
            "area_km2": km2(area),
            "boundary_km": km(boundary),
            "parts": len(polygons),
            "centre": place(centre),
        }
        heapq.heappush(self.largest, (area, -self.types.total(), told))
        if len(self.largest) > MOST:
            heapq.heappop(self.largest)

    def result(self) -> dict[str, Any]:
        """All of it, as JSON."""
        return {
            "features": dict(sorted(self.types.items())),
            "points": self.points,
            "area_km2": km2(self.area),
            "boundary_km": km(self.boundary),
            "lines_km": km(self.lines),
            "bbox": [round(float(value), 6) for value in (*self.low, *self.high)] if self.points else None,
            "centre": place(self.centre),
            "invalid": {"features": len(self.invalid), "for_example": self.invalid[:MOST]},
            "largest": [told for *_, told in sorted(self.largest, reverse=True)],
        }


def features(path: str) -> Iterator[dict[str, Any]]:
    """The features of a FeatureCollection, one at a time."""
    number = 0
    with open(path, "rb") as file:
        for number, feature in enumerate(ijson.items(file, "features.item", use_float=True), start=1):
            if not isinstance(feature, dict) or feature.get("type") != "Feature":
                raise NotGeoJson(f"item {number} of its `features` is no feature")
            yield feature
        file.seek(0)
        if number == 0 and next(ijson.items(file, "type"), None) != "FeatureCollection":
            raise NotGeoJson("it is no FeatureCollection")


def name_of(feature: dict[str, Any], number: int) -> str:
    """What a person would call it: its id, or the first of its properties that is a text."""
    texts = (value for value in (feature.get("properties") or {}).values() if isinstance(value, str))
    return str(feature.get("id") or next(texts, f"feature {number}"))


def geometry_of(feature: dict[str, Any], name: str) -> shapely.Geometry | None:
    """Its geometry, which it does not keep: of a large one there is a single copy at a time. None where it has none."""
    geometry = feature.pop("geometry", None)
    if geometry is None:
        return None
    text = json.dumps(geometry)
    del geometry
    try:
        return shapely.from_geojson(text)
    except shapely.errors.GEOSException as error:
        raise NotGeoJson(f"the geometry of `{name}` is none: {error}") from error


def measure_polygons(polygons: np.ndarray) -> tuple[np.ndarray, float]:
    """The area of each without its holes, in m², and the length of all their rings, in m."""
    rings, owners = shapely.get_rings(polygons, return_index=True)
    lons, lats = shapely.get_coordinates(rings).T.copy()
    ends = np.cumsum(shapely.get_num_coordinates(rings))
    spans = zip(ends - shapely.get_num_coordinates(rings), ends, strict=True)
    measured = np.array([WGS84.polygon_area_perimeter(lons[begin:end], lats[begin:end]) for begin, end in spans])
    # the area has a sign, by the way that a ring is drawn, on which files do not agree
    enclosed, around = np.abs(measured[:, 0]), measured[:, 1]
    is_outer = np.diff(owners, prepend=-1) > 0
    return np.bincount(owners, weights=np.where(is_outer, enclosed, -enclosed)), float(around.sum())


def length(line: shapely.LineString) -> float:
    """In m."""
    return WGS84.line_length(*shapely.get_coordinates(line).T)


def centre_of(polygons: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """The sum of their centres, as vectors as long as their areas: longitudes jump at the date line, vectors do not."""
    flat = shapely.centroid(shapely.transform(polygons, EQUAL_AREA.transform, interleaved=False))
    degrees = EQUAL_AREA.transform(shapely.get_x(flat), shapely.get_y(flat), direction="INVERSE")
    lon, lat = np.radians(degrees)
    vectors = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    return (np.nan_to_num(vectors, posinf=0, neginf=0) * areas).sum(axis=1)


def place(vector: np.ndarray) -> list[float] | None:
    """Longitude and latitude of a direction."""
    x, y, z = vector
    if not vector.any():
        return None
    return [round(float(degrees), 3) for degrees in np.degrees([np.arctan2(y, x), np.arctan2(z, np.hypot(x, y))])]


def km(metres: float) -> float:
    return round(metres / 1e3, 3)


def km2(square_metres: float) -> float:
    return round(square_metres / 1e6, 3)


def measure(path: str) -> dict[str, Any]:
    """The result for a file."""
    sums = Sums()
    for number, feature in enumerate(features(path), start=1):
        name = name_of(feature, number)
        sums.add(name, geometry_of(feature, name))
    return {"file": os.path.basename(path), "bytes": os.path.getsize(path), **sums.result()}


def main() -> None:
    path, begin = sys.argv[1], time.monotonic()
    try:
        result = measure(path)
    except (NotGeoJson, ijson.JSONError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        sys.exit(DATA_ERROR)
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    output = os.environ.get("OUTPUT")
    if output is None:
        sys.stdout.write(text)
        return
    bucket, _, key = output.removeprefix("s3://").partition("/")
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=text.encode(), ContentType="application/json")
    seconds, count = time.monotonic() - begin, sum(result["features"].values())
    print(f"{count} features, {result['area_km2']:,.0f} km² in {seconds:.1f} s: {output}")


if __name__ == "__main__":
    main()
