#!/bin/sh
# Fetches the countries of the world as GeoJSON into data/: real files of 23, 52 and 87 MB, with `100m` of 126 MB.
#
#     ./fetch.sh [1km] [500m] [250m] [100m]
#
# They are the packages @geo-maps/countries-land-* of npm, made of OpenStreetMap's data, under the Open Database License
# (data/LICENSE). The number is how far a border may be from where it is.
set -eu
cd "$(dirname "$0")/data"
command -v npm >/dev/null || { echo "npm is needed to fetch the files: apt-get install npm" >&2; exit 1; }

[ $# -gt 0 ] || set -- 1km 500m 250m
for accuracy; do
  case $accuracy in
  1km) sum=04dc4548c3aee41b0ec7c01ea21db0ed86a47bf0d78e2952eeb2808016ce571a ;;
  500m) sum=b0125f4b6bd60fa3a69f4c3ce465eac0bdbffc2369af80cc7e8d4e2de56f0499 ;;
  250m) sum=bb706e9439169554cbb8d9241f67bca7a2ec9f27c18d90aafa187411b72bacda ;;
  100m) sum=e6dca8a0026501a2908b0eb8f4a926d5198abbf15b2077e1a856433f8073f5c2 ;;
  *) echo "there is no $accuracy: 1km, 500m, 250m, 100m" >&2; exit 2 ;;
  esac
  file=countries-$accuracy.geojson
  if [ ! -e "$file" ]; then
    package=$(npm pack --silent "@geo-maps/countries-land-$accuracy@0.6.0")
    echo "$sum  $package" | sha256sum --check --quiet
    tar -xzOf "$package" package/map.geo.json >"$file.part"
    mv "$file.part" "$file"
    rm "$package"
  fi
  echo "data/$file: $(($(wc -c <"$file") / 1000000)) MB"
done
