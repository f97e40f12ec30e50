#!/bin/sh
# Makes the certificates of the TLS tests in build/pki, unless they are there, complete, younger
# than 30 days and made by this version of this script.
#
#   NAME-chain.pem, NAME.key   ec, rsa      good for localhost and 127.0.0.1, and for the name that
#                                           tests/bench/wire.c gives localhost
#                              wrongname    good for elsewhere.test only
#                              expired      valid until 2020
#                              notyet       valid from 2048
#                              selfsigned   signed by itself
#                              device, devicersa    of clients
#                              those of make_odd    each odd in one thing, see there
#   ca.pem                     the authority that signed all but the last
#   otherca.pem                an authority that signed none of them

set -eu
cd "$(dirname "$0")/.."
umask 077

pki=build/pki
here='DNS:localhost,IP:127.0.0.1,DNS:dynamodb.eu-central-1.amazonaws.com'

# The good ones are valid from 2020: a device whose clock is days behind must be refused for its
# signature, not refuse the certificate.
long_ago=20100101000000Z
past=20200101000000Z
future=20480101000000Z
far_future=20491231235959Z

up_to_date() {
    [ -n "$(find $pki/complete -mtime -30 -newer tests/pki.sh 2>/dev/null)" ] &&
        (cd $pki && xargs ls <complete >/dev/null 2>&1)
}

print_configuration() {
    cat <<'END'
[req]
distinguished_name = empty
[empty]
[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = ${ENV::ALT_NAMES}
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[device]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[middle]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[server]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[last]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[ca]
default_ca = issue
[issue]
certificate = ca.pem
private_key = ca.key
database = issued
new_certs_dir = .
rand_serial = yes
unique_subject = no
default_md = sha256
policy = names
x509_extensions = leaf
[names]
commonName = supplied
END
}

new_key() { # NAME ec|rsa|CURVE|BITS
    case $2 in
    ec) openssl ecparam -name prime256v1 -genkey -noout -out "$1.key" ;;
    rsa) openssl genrsa -out "$1.key" 2048 ;;
    [0-9]*) openssl genrsa -out "$1.key" "$2" ;;
    *) openssl ecparam -name "$2" -genkey -noout -out "$1.key" ;;
    esac
}

new_authority() { # NAME SUBJECT
    new_key "$1" ec
    openssl req -x509 -new -config configuration -extensions authority -sha256 -days 3650 \
        -key "$1.key" -subj "$2" -out "$1.pem"
}

new_leaf() { # NAME ec|rsa ALT_NAMES START END [EXTENSIONS]
    new_key "$1" "$2"
    openssl req -new -config configuration -key "$1.key" -subj "/CN=$1" -out "$1.csr"
    ALT_NAMES=$3 openssl ca -batch -notext -config configuration -startdate "$4" -enddate "$5" \
        -extensions "${6:-leaf}" -in "$1.csr" -out "$1.pem"
    cat "$1.pem" ca.pem >"$1-chain.pem"
}

new_selfsigned() { # NAME ALT_NAMES
    new_key "$1" ec
    ALT_NAMES=$2 openssl req -x509 -new -config configuration -extensions leaf -sha256 -days 3650 \
        -key "$1.key" -subj "/CN=$1" -out "$1-chain.pem"
}

# A leaf whose extensions are given, one a line, in place of those of most leaves.
new_odd() { # NAME KEY SUBJECT EXTENSIONS [OPTION OF openssl ca...]
    name=$1
    new_key "$name" "$2"
    openssl req -new -config configuration -key "$name.key" -subj "$3" -out "$name.csr"
    printf '[odd]\n%s\n' "$4" >"$name.cnf"
    shift 4
    openssl ca -batch -notext -config configuration -startdate $past -enddate $far_future \
        -extfile "$name.cnf" -extensions odd "$@" -in "$name.csr" -out "$name.pem"
    cat "$name.pem" ca.pem >"$name-chain.pem"
}

new_middle() { # NAME KEY [OPTION OF openssl ca...]
    name=$1
    new_key "$name" "$2"
    openssl req -new -config configuration -key "$name.key" -subj "/CN=Middle $name" -out "$name.csr"
    shift 2
    openssl ca -batch -notext -config configuration -startdate $past -enddate $far_future \
        "$@" -in "$name.csr" -out "$name.pem"
}

leaf_usage='basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature'

named() { # ALT_NAMES: a leaf's extensions
    printf '%s\nsubjectAltName = %s\n' "$leaf_usage" "$1"
}

# What other authorities, or other times, would sign.
make_odd() {
    new_odd wildcard ec /CN=x "$(named 'DNS:*.locks.test')"
    new_odd partial ec /CN=x "$(named 'DNS:a*.locks.test')"
    new_odd twostars ec /CN=x "$(named 'DNS:*.*.locks.test')"
    new_odd inner ec /CN=x "$(named 'DNS:a.*.locks.test')"
    new_odd star ec /CN=x "$(named 'DNS:*')"
    new_odd capitals ec /CN=x "$(named 'DNS:WWW.LOCKS.TEST')"
    new_odd address ec /CN=x "$(named 'IP:127.0.0.1')"
    new_odd nameless ec /CN=www.locks.test "$leaf_usage"
    new_odd othername ec /CN=www.locks.test "$(named 'DNS:elsewhere.test')"
    # www.locks.test, then NUL, then .evil.test
    new_odd nul ec /CN=x "$(named \
        'DER:301b82197777772e6c6f636b732e74657374002e6576696c2e74657374')"

    new_odd rsa1024 1024 /CN=x "$(named "$here")"
    new_odd rsa2040 2040 /CN=x "$(named "$here")"
    new_odd p384 secp384r1 /CN=x "$(named "$here")"
    new_odd k256 secp256k1 /CN=x "$(named "$here")"
    new_odd sha1 ec /CN=x "$(named "$here")" -md sha1
    new_odd sha384 ec /CN=x "$(named "$here")" -md sha384

    new_odd client ec /CN=x "$(named "$here")
extendedKeyUsage = clientAuth"
    new_odd bothusages ec /CN=x "$(named "$here")
extendedKeyUsage = clientAuth, emailProtection, serverAuth"
    new_odd anyusage ec /CN=x "$(named "$here")
extendedKeyUsage = codeSigning, anyExtendedKeyUsage"
    new_odd nousage ec /CN=x "$(named "$here")"
    # the bytes of "extendedKeyUsage = serverAuth" in another extension, and clientAuth
    new_odd disguised ec /CN=x "$(named "$here")
1.2.3.4 = DER:30130603551d25040c300a06082b06010505070301
extendedKeyUsage = clientAuth"
    new_odd criticalusage ec /CN=x "$(named "$here")
extendedKeyUsage = critical, serverAuth"
    new_odd notsigning ec /CN=x "basicConstraints = critical, CA:FALSE
keyUsage = critical, keyEncipherment
subjectAltName = $here"
    new_odd critical ec /CN=x "$(named "$here")
1.2.3.4 = critical, DER:0500"

    new_middle middle ec -extensions middle
    new_middle weak 1024 -extensions middle
    new_middle server ec -extensions server
    new_middle last ec -extensions last -cert middle.pem -keyfile middle.key
    new_middle beyond ec -extensions middle -cert last.pem -keyfile last.key
    new_odd chained ec /CN=x "$(named "$here")" -cert middle.pem -keyfile middle.key
    cat chained.pem middle.pem >chained-chain.pem
    cp chained.key missing.key
    cp chained.pem missing-chain.pem
    cp chained.key reordered.key
    cat chained.pem ca.pem middle.pem >reordered-chain.pem
    new_odd underserver ec /CN=x "$(named "$here")
extendedKeyUsage = clientAuth" -cert server.pem -keyfile server.key
    cat underserver.pem server.pem >underserver-chain.pem
    new_odd underweak ec /CN=x "$(named "$here")" -cert weak.pem -keyfile weak.key
    cat underweak.pem weak.pem >underweak-chain.pem
    new_odd underlast ec /CN=x "$(named "$here")" -cert last.pem -keyfile last.key
    cat underlast.pem last.pem middle.pem >underlast-chain.pem
    new_odd toodeep ec /CN=x "$(named "$here")" -cert beyond.pem -keyfile beyond.key
    cat toodeep.pem beyond.pem last.pem middle.pem >toodeep-chain.pem
    new_odd underleaf ec /CN=x "$(named "$here")" -cert ec.pem -keyfile ec.key
    cat underleaf.pem ec.pem >underleaf-chain.pem
}

make_all() {
    export ALT_NAMES= # openssl reads it whenever it reads the configuration
    print_configuration >configuration
    : >issued
    new_authority ca '/CN=Dynalock Test CA'
    new_authority otherca '/CN=Another Test CA'
    new_leaf ec ec "$here" $past $far_future
    new_leaf rsa rsa "$here" $past $far_future
    new_leaf wrongname ec DNS:elsewhere.test $past $far_future
    new_leaf expired ec "$here" $long_ago $past
    new_leaf notyet ec "$here" $future $far_future
    new_selfsigned selfsigned "$here"
    new_leaf device ec "$here" $past $far_future device
    new_leaf devicersa rsa "$here" $past $far_future device
    make_odd
}

! up_to_date || exit 0

mkdir -p build
work=$(mktemp -d $pki.XXXXXX)
trap '[ $? -eq 0 ] || cat "$work.log" >&2; rm -rf "$work" "$work.log"' EXIT
(
    cd "$work"
    make_all
    rm -f ./*.csr ./*.cnf configuration issued* ca.key otherca.key [0-9A-F]*.pem
    ls >complete
) >"$work.log" 2>&1

# Of two runs at once each makes a whole set and one set stays.
rm -rf $pki
mv -T "$work" $pki 2>/dev/null || up_to_date
