#!/bin/sh
# Installs Veche from this folder, or brings an installed one to this version; no network is used. Run it again at will:
# data and settings stay as they are.
#
#   install.sh [--prefix FOLDER] [--data FOLDER] [--user NAME] [--python PROGRAM] [--no-user] [--no-systemd] [--no-start]
#
# As root on a machine with systemd: the program in /opt/veche, data and settings in /var/lib/veche, a user `veche`, and
# a service of that name, which is started. Else: all in one folder (--prefix, by default ~/veche), to be started by hand.
set -eu
umask 022

say() { echo "veche: $*"; }
refuse() {
    echo "veche: $1" >&2
    shift
    for line in "$@"; do echo "       $line" >&2; done
    exit 1
}
usage() { sed -n '2,8s/^# \{0,1\}//p' "$0"; }

here=$(cd "$(dirname "$0")" && pwd)
units=/etc/systemd/system
prefix='' data='' user=veche python='' start=yes
systemd=no
[ "$(id -u)" = 0 ] && [ -d /run/systemd/system ] && systemd=yes

while [ $# -gt 0 ]; do
    case $1 in
    --prefix | --data | --user | --python | --units)
        [ $# -ge 2 ] || refuse "$1: takes a value; install.sh --help says which"
        case $1 in
        --prefix) prefix=$2 ;;
        --data) data=$2 ;;
        --user) user=$2 ;;
        --python) python=$2 ;;
        --units) units=$2 systemd=yes start=no ;; # to look at the unit, or to install into another root
        esac
        shift
        ;;
    --no-user) user='' ;;
    --no-systemd) systemd=no ;;
    --no-start) start=no ;;
    --help | -h)
        usage
        exit 0
        ;;
    *) refuse "got $1, takes --prefix, --data, --user, --python, --no-user, --no-systemd, --no-start, --help" ;;
    esac
    shift
done

# Where things go.
if [ "$(id -u)" != 0 ]; then
    [ $systemd = no ] || refuse "--units: takes root"
    user=''
elif [ $systemd = no ]; then
    user='' # nobody would run as it
fi
if [ $systemd = yes ]; then
    prefix=${prefix:-/opt/veche}
    data=${data:-/var/lib/veche}
else
    prefix=${prefix:-${HOME:?takes a home folder, or --prefix}/veche}
    data=${data:-$prefix/data}
fi
for folder in "$prefix" "$data"; do
    case $folder in
    *[!A-Za-z0-9/._-]*) refuse "got $folder, takes a path of letters, digits and / . _ -" ;;
    /*) ;;
    *) refuse "got $folder, takes a path from the root (/…)" ;;
    esac
    case $systemd:$folder in
    yes:/home/* | yes:/root/* | yes:/run/user/* | yes:/tmp/* | yes:/var/tmp/*)
        [ "$units" != /etc/systemd/system ] ||
            refuse "got $folder: the service may not look there; takes a folder outside /home, /root and /tmp" ;;
    esac
done

# What the machine must have.
[ -r "$here/bundle.env" ] || refuse "$here/bundle.env is missing: unpack the whole archive, and run its install.sh"
. "$here/bundle.env" # VERSION, ARCH, PYTHON, GLIBC
[ "$(uname -s)" = Linux ] || refuse "this is $(uname -s); takes Linux"
[ "$(uname -m)" = "$ARCH" ] ||
    refuse "this bundle is for $ARCH; this machine is $(uname -m)" "Make one with \`make bundle\` on a machine like it."
glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | sed 's/.* //') || glibc=''
[ -n "$glibc" ] || refuse "this system has no GNU C library (Alpine?); takes glibc $GLIBC or newer"
[ "$(printf '%s\n%s\n' "$GLIBC" "$glibc" | sort -V | head -n 1)" = "$GLIBC" ] ||
    refuse "this system has glibc $glibc; takes $GLIBC or newer" "Make a bundle with \`make bundle\` on a system as old."

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true; }
if [ -n "$python" ]; then
    found=$(version_of "$python")
    [ -n "$found" ] || refuse "--python: got $python, which does not run; takes a Python $PYTHON"
    [ "$found" = "$PYTHON" ] || refuse "--python: got Python $found; this bundle takes Python $PYTHON"
else
    for candidate in "python$PYTHON" python3 python; do
        if [ "$(version_of "$candidate")" = "$PYTHON" ]; then
            python=$candidate
            break
        fi
    done
    found=$(version_of python3)
    [ -n "$python" ] || refuse "this bundle takes Python $PYTHON; python3 here is ${found:-missing}" \
        "On Debian and Ubuntu: apt-get install python$PYTHON; elsewhere name one with --python PROGRAM." \
        "Or make a bundle with \`make bundle\` where Python is ${found:-the one of this machine}."
fi
"$python" -c 'import venv, ssl, sqlite3, zlib, ctypes' 2>/dev/null || refuse "this Python lacks a part of its library:" \
    "$("$python" -c 'import venv, ssl, sqlite3, zlib, ctypes' 2>&1 | tail -n 1)" \
    "On Debian and Ubuntu: apt-get install python$PYTHON-venv libpython$PYTHON-stdlib"

say "looking whether the bundle is whole"
(cd "$here" && sha256sum --check --quiet --strict SHA256SUMS >&2) ||
    refuse "the bundle was damaged on its way: copy the archive again, and unpack it into an empty folder"

# The program: each version has a folder of its own, `current` points to one. What runs keeps its files until it ends.
make_folder() { mkdir -p "$1" 2>/dev/null || refuse "$1 can't be made: run as root, or take another place with $2"; }
make_folder "$prefix/releases" --prefix
[ -w "$prefix/releases" ] || refuse "$prefix can't be written to: run as root, or take another place with --prefix"
build=$(sha256sum "$here/SHA256SUMS" | cut -c 1-8)
release=$prefix/releases/$VERSION-$build
before=$(readlink "$prefix/current" 2>/dev/null) || before=''
if [ -e "$release/complete" ]; then
    say "$VERSION is installed already"
else
    say "installing $VERSION into $release"
    rm -rf "$release" # the rest of an attempt that was cut off
    "$python" -m venv --without-pip "$release"
    set -- "$here"/wheels/pip-*.whl
    PYTHONPATH=$1 "$release/bin/python" -m pip --isolated --quiet --disable-pip-version-check install \
        --no-index --no-cache-dir --find-links "$here/wheels" "veche==$VERSION"
    cp "$here/OPERATIONS.md" "$here/LICENSE" "$release"
    touch "$release/complete"
fi
ln -sfn "releases/$VERSION-$build" "$prefix/current.new"
mv -T "$prefix/current.new" "$prefix/current"
for old in "$prefix"/releases/*; do
    [ "$old" = "$release" ] || [ "$old" = "$prefix/$before" ] || rm -rf "$old"
done

# Who runs it, and its folder.
if [ -n "$user" ] && ! getent passwd "$user" >/dev/null; then
    say "making the user $user"
    useradd --system --user-group --home-dir "$data" --no-create-home --shell /usr/sbin/nologin "$user"
fi
if [ ! -d "$data" ]; then
    make_folder "$data" --data
    chmod 700 "$data"
    [ -z "$user" ] || chown "$user:" "$data"
fi
if [ ! -e "$data/veche.toml" ]; then
    cp "$here/veche.toml" "$data/veche.toml"
    chmod 600 "$data/veche.toml"
    [ -z "$user" ] || chown "$user:" "$data/veche.toml"
fi

# The command, which knows where the data is.
mkdir -p "$prefix/bin"
cat >"$prefix/bin/veche.new" <<EOF
#!/bin/sh
export VECHE_DATA_DIR="\${VECHE_DATA_DIR:-$data}"
exec "$prefix/current/bin/veche" "\$@"
EOF
chmod 755 "$prefix/bin/veche.new"
mv "$prefix/bin/veche.new" "$prefix/bin/veche"
veche=$prefix/bin/veche

if [ $systemd = no ]; then
    say "$("$veche" --version | cut -d ' ' -f 2) is installed. Start it with"
    say "    $veche serve"
    say "Settings: $data/veche.toml. Start it again where it was running."
    exit 0
fi

mkdir -p "$units"
sed "s,@PREFIX@,$prefix,g; s,@DATA@,$data,g; s,@USER@,${user:-root},g" "$here/veche.service" >"$units/veche.service"
if [ $start = yes ]; then
    systemctl daemon-reload
    systemctl enable --quiet veche
    systemctl restart veche || refuse "the service does not start: journalctl --unit veche says why"
fi
say "$("$veche" --version | cut -d ' ' -f 2) is installed."
[ $start = yes ] || say "Start it with: systemctl daemon-reload && systemctl enable --now veche"
say "Its address, and the link that makes the first administrator: journalctl --unit veche"
say "Settings: $data/veche.toml; systemctl restart veche after a change."
