#!/bin/sh
# Makes the certificates of the TLS tests in build/pki, unless they are there, complete, younger
# than 30 days and made by this version of this script.
#
#   NAME-chain.pem, NAME.key   ec, rsa      good for localhost and 127.0.0.1
#                              wrongname    good for elsewhere.test only
#                              expired      valid until 2020
#                              notyet       valid from 2048
#                              selfsigned   signed by itself
#                              device, devicersa    of clients
#   ca.pem                     the authority that signed all but the last
#   otherca.pem                an authority that signed none of them

set -eu
cd "$(dirname "$0")/.."
umask 077

pki=build/pki
here='DNS:localhost,IP:127.0.0.1'

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

new_key() { # NAME ec|rsa
    case $2 in
    ec) openssl ecparam -name prime256v1 -genkey -noout -out "$1.key" ;;
    rsa) openssl genrsa -out "$1.key" 2048 ;;
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
}

! up_to_date || exit 0

mkdir -p build
work=$(mktemp -d $pki.XXXXXX)
trap '[ $? -eq 0 ] || cat "$work.log" >&2; rm -rf "$work" "$work.log"' EXIT
(
    cd "$work"
    make_all
    rm -f ./*.csr configuration issued* ca.key otherca.key [0-9A-F]*.pem
    ls >complete
) >"$work.log" 2>&1

# Of two runs at once each makes a whole set and one set stays.
rm -rf $pki
mv -T "$work" $pki 2>/dev/null || up_to_date
