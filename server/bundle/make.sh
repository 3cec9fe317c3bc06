#!/bin/sh
# Makes build/veche-VERSION-linux-ARCH-pyXY.tar.gz: all that a machine without a network needs to install Veche. Run by
# `make bundle`, which has built the engine and the browser client before. Needs a package registry.
set -eu
cd "$(dirname "$0")/../.."

python=.venv/bin/python
# What pip has to hear of the machine's own settings stays; its cache spares a download.
pip() { $python -m pip --disable-pip-version-check --quiet "$@"; }

work=build/bundle.new
rm -rf "$work"
mkdir -p "$work/wheels"

.venv/bin/maturin build --release --quiet --out "$work/wheels"
# The versions that the tests have tried. pip itself comes along: not every Python of a distribution has it.
pip freeze --exclude veche > "$work/versions"
download() { pip download --only-binary :all: --constraint "$work/versions" --dest "$work/wheels" "$@"; }
download "$work"/wheels/veche-*.whl pip
while more=$($python -m server.bundle.older_python "$work/wheels") && [ -n "$more" ]; do
    # shellcheck disable=SC2086 # one word for each
    download $more
done
rm "$work/versions"

version=$($python -c 'import sys, tomllib; print(tomllib.load(sys.stdin.buffer)["project"]["version"])' < pyproject.toml)
for_python=$($python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
# Each wheel names the oldest C library that it runs with (sometimes a few): the newest of these counts.
glibc=$(for wheel in "$work"/wheels/*manylinux_*; do
    echo "$wheel" | grep -o 'manylinux_[0-9]*_[0-9]*' | sed 's/manylinux_//; s/_/./' | sort -V | head -n 1
done | sort -V | tail -n 1)
cat > "$work/bundle.env" <<EOF
VERSION=$version
ARCH=$(uname -m)
PYTHON=$for_python
GLIBC=$glibc
EOF

cp server/bundle/install.sh server/bundle/veche.service server/bundle/veche.toml OPERATIONS.md LICENSE "$work"
chmod 755 "$work/install.sh"
(cd "$work" && find . -type f ! -name SHA256SUMS | LC_ALL=C sort | xargs sha256sum > SHA256SUMS)

name=veche-$version-linux-$(uname -m)-py$for_python
rm -f build/veche-*.tar.gz
tar --create --gzip --file "build/$name.tar.gz" --sort=name --owner=0 --group=0 --numeric-owner \
    --transform "s,^$work,$name," "$work"
rm -rf "$work"
echo "veche: build/$name.tar.gz, $(du -h "build/$name.tar.gz" | cut -f 1)"
