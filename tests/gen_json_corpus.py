#!/usr/bin/python3
"""Write the JSON corpus of tests/unit/test_json.c as a C99 header.

usage: tests/gen_json_corpus.py [output]     (default: tests/unit/json_corpus.h)

What the filter of dynalock.h must make of a document is worked out here a
second time, from the comment at the top of its section and by way of Python's
json module. Limits play no part: the documents are short. The output depends
on nothing but this file.
"""

import json
import os
import random
import sys

ROOT_TEXTS = ("__type", "message", "Message")
ITEM_WANTS = ("owner", "rvn")


class Refused(Exception):
    """The document is malformed, or must be refused for another reason."""


class Number(str):
    """A number, as it was spelt."""


class Object(list):
    """An object, as pairs of name and value: names may come twice."""


def quoted(text):
    out = '"'
    for c in text:
        if c in '"\\':
            out += "\\" + c
        elif c == "\0":
            out += "\\b"  # stands for NUL there
        else:
            out += c
    return out + '"'


def scalar(value):
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, str):
        return quoted(value)
    return json.dumps(value)


def refuse_constant(name):
    raise Refused(name)  # NaN and Infinity are Python's own


def refuse_lone_surrogates(value):
    if isinstance(value, str):
        if any(0xD800 <= ord(c) < 0xE000 for c in value):
            raise Refused("half of a surrogate pair")
    elif isinstance(value, (list, tuple)):
        for part in value:
            refuse_lone_surrogates(part)


def parse(document):
    try:
        value = json.loads(
            document.decode("utf-8"), object_pairs_hook=Object,
            parse_int=Number, parse_float=Number,
            parse_constant=refuse_constant)
    except ValueError as error:
        raise Refused(error) from error
    refuse_lone_surrogates(value)
    return value


def kept_text(value):
    if isinstance(value, str) and not isinstance(value, Number):
        return quoted(value)
    return "true"


def kept_attribute(value):
    if not isinstance(value, Object) or len(value) != 1:
        return "true"
    kind, content = value[0]
    if isinstance(content, list):
        return "true"
    return "{%s:%s}" % (quoted(kind), scalar(content))


def kept_members(pairs, keepers):
    wanted = [(name, value) for name, value in pairs if name in keepers]
    if len({name for name, _ in wanted}) != len(wanted):
        raise Refused("a wanted name comes twice")
    return "{%s}" % ",".join(
        quoted(name) + ":" + keepers[name](value) for name, value in wanted)


def kept_item(value):
    if not isinstance(value, Object):
        return "true"
    return kept_members(value, dict.fromkeys(ITEM_WANTS, kept_attribute))


def kept(document):
    """What is left of a document; None: it is refused."""
    keepers = dict.fromkeys(ROOT_TEXTS, kept_text)
    keepers["Item"] = kept_item
    try:
        root = parse(document)
        if not isinstance(root, Object):
            raise Refused("not an object")
        return kept_members(root, keepers).encode()
    except Refused:
        return None


# Sound and broken values; each is put where it is dropped and where it is
# wanted.
VALUES = [
    # literals
    b"true", b"false", b"null", b"tru", b"truE", b"True", b"truee", b"nul",
    b"nulll", b"fals", b"falsee", b"t", b"NaN", b"Infinity", b"-Infinity",
    b"undefined", b"true false", b"",
    # numbers
    b"0", b"-0", b"1", b"-1", b"9", b"-9", b"10", b"12345678901234567890", b"0.5", b"-0.0",
    b"1.25e3", b"9.9E9", b"1e+09", b"1e-0", b"0e0", b"-", b"+1", b"01", b"-01",
    b"00", b"1.", b".5", b"-.5", b"1.e3", b"1e", b"1e+", b"1e-", b"1e1.5",
    b"1ee1", b"1.2.3", b"1-", b"1+1", b"0x10", b"1_000", b"1 2", b"--1",
    b"1e5e", b"0.e1", b"1.5f", b"\xef\xbc\x91",
    # strings
    b'""', b'"plain"', b'"a/b"', b'"\x7f"', b'"', b'"open', b'"a"b"', b"'a'",
    b'"a" "b"', b'"\t"', b'"\n"', b'"\x00"', b'"\x1f"', b'"a\r"',
    # escapes
    rb'"\" \\ \/ \b \f \n \r \t"', rb'"\u0041"', rb'"\u00e9\u20AC\uFFFF"',
    rb'"\u0000\u001F\u0020\u007f\u0080\u07ff\u0800"', rb'"\u0022\u005c"',
    rb'"\a"', rb'"\x41"', rb'"\U0041"', rb'"\0"', b'"\\\'"',
    rb'"\u004"', rb'"\u00g0"', rb'"\u"', rb'"\u+041"', rb'"\u 041"', b'"\\',
    b'"\\"', b'"\\\n"', rb'"\u{41}"',
    # surrogates
    rb'"\ud83d\ude00"', rb'"\uDBFF\uDFFF"', rb'"\ud800\udc00z"',
    rb'"\ud83d"', rb'"\ude00"', rb'"\ude00\ud83d"', rb'"\ud83d\ud83d\ude00"',
    rb'"\ud83dx"', rb'"\ud83d\n"', rb'"\ud83d\u0041"', rb'"\ud83d\\ude00"',
    rb'"\ud83d\ude0"', rb'"\ud83d ude00"', rb'"\udfff"',
    # UTF-8
    b'"\xc2\x80\xdf\xbf"', b'"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80"',
    b'"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"', b'"\xef\xbb\xbf"', b'"\x80"',
    b'"\xc0\x80"', b'"\xc1\xbf"', b'"\xc3"', b'"\xc3\xc3\xa9"',
    b'"\xe0\x80\x80"', b'"\xe2\x82"', b'"\xed\xa0\x80"', b'"\xe2\x28\xa1"',
    b'"\xf0\x80\x80\x80"', b'"\xf4\x90\x80\x80"', b'"\xf5\x80\x80\x80"',
    b'"\xf0\x9f\x98"', b'"\xff"', b'"\xfe"', b'"\xf8\x88\x80\x80\x80"',
    b'"\xc3\\n"', b"\xc3\xa9", b"\xef\xbb\xbf1",
    # arrays
    b"[]", b"[ ]", b"[1]", b"[1,2]", b'["a",{"b":[null]}]', b"[[[[]]]]",
    b"[", b"]", b"[1", b"[1,", b"[1,]", b"[,1]", b"[,]", b"[1,,2]", b"[1 2]",
    b"[1:2]", b"[}", b"[1}", b"[[]", b"[]]", b'["a"', b"[1],",
    # objects
    b"{}", b"{ }", b'{"a":1}', b'{"a":1,"a":2}', b'{"":0}',
    b'{ "a" : { "b" : [ 1 , 2 ] } }', b'{"S":"x"}', b'{"S":"x","N":"1"}',
    b'{"S":"x","S":"x"}', b'{"M":{"S":"x"}}', b'{"L":[{"S":"x"}]}',
    b'{"S":{}}', b'{"SS":[]}', b'{"N":1}', b'{"BOOL":true}', b'{"NULL":null}',
    b'{"\\u0053\\"":"x"}', b'{"S":"\xc3\xa9\\u00e9"}', b'{"owner":{"S":"x"}}',
    b'{"Item":{"owner":{"S":"x"}}}', b'{"message":"x"}',
    b"{", b"}", b'{"a"', b'{"a":', b'{"a":1', b'{"a":1,', b'{"a":1,}',
    b'{,"a":1}', b"{1:2}", b'{a:1}', b"{'a':1}", b'{"a"1}', b'{"a",1}',
    b'{"a":}', b'{:1}', b'{"a"::1}', b'{"a":1;"b":2}', b'{"a":1 "b":2}',
    b'{"a":1]', b'{[]:1}', b'{"a":1}}', b'{null:1}', b'{"a":1,,"b":2}',
    b'{"\xff":1}', b'{"\\ud800":1}', b'{"a\n":1}', b'{"S":"x",}',
    b'{"S":"x"', b'{"S":}', b'{"S"}',
    # other
    b"//", b"/**/1", b"1//x", b"\x00", b"\x0c1", b"\xa0", b"\x0b", b",", b":",
    b"\\", b"*",
]

PLACES = [
    b'{"message":%s,"x":[]}',
    b'{"Item":{"owner":%s,"z":%s}}',
    b'{"Item":{"rvn":{"S":%s}}}',
]

# Whole documents.
DOCUMENTS = [
    b"", b" ", b"{}", b" \t\r\n{ \t\r\n} \t\r\n", b"[]", b'"x"', b"1", b"true",
    b"null", b"{}{}", b"{},", b"{} x", b"{}\x00", b"\x00{}", b"\xef\xbb\xbf{}",
    b"\xfe\xff\x00{\x00}", b"{\x00}\x00", b"{}\x0c", b"{}//", b"x{}", b",{}",
    b'{"Item":{}}', b'{"Item":{"x":{"S":"y"}}}', b'{"Item":[]}',
    b'{"Item":"x"}', b'{"Item":null}', b'{"Item":{},"Item":{}}',
    b'{"Item":1,"Item":1}', b'{"message":"a","message":"b"}',
    b'{"message":"a","Message":"b"}', b'{"mess\\u0061ge":"a","message":"b"}',
    b'{"Item":{"rvn":1,"rvn":1}}', b'{"Item":{"x":1,"x":1}}',
    b'{"x":{"Item":1,"Item":1}}', b'{"Item":{"z":{"rvn":1,"rvn":1}}}',
    b'{"Item":{"owner":{"S":"a"}},"owner":{"S":"b"}}',
    b'{"Item":{"\\u006fwner":{"\\u0053":"\\u0041"}}}',
    b'{"item":{"owner":{"S":"a"}},"ITEM":{},"Items":{},"Ite":{},"":{}}',
    b'{"Item":{"own":{"S":"a"},"owners":{"S":"b"},"Owner":{"S":"c"}}}',
    b'{"Attributes":{"owner":{"S":"a"}},"Item":{"rvn":{"S":"b"}}}',
    b'{"Responses":[{"Item":{"owner":{"S":"a"}}}],"message":"m"}',
    b'{"__type":"com.amazonaws.dynamodb.v20120810#X","Message":"no"}',
    b'{"Item":{"a":[[{"owner":{"S":"x"}}]],"owner":{"S":"y"}},"z":{"a":[{}]}}',
    b'{"Item":{"owner":{"S":"a"},"rvn":{"N":"1"}},"message":"m","__type":"t"}',
    b'{ "Item" : { "owner" : { "S" : "a" } , "rvn" : { "N" : "1" } } }',
    b'{"message":"\\u00e9\xc3\xa9\\ud83d\\ude00\\"\\\\\\/\\b\\u001f"}',
]

ALPHABET = b'{}[]:,"\\ \n019.-+eEtfnu/xS\x00\x1f\x7f\x80\xc3\xa9\xed\xff'


def mutants(count):
    """Sound documents with a few bytes changed, dropped, doubled or moved."""
    dice = random.Random(8259)
    sound = [d for d in DOCUMENTS if kept(d) is not None and len(d) > 20]
    for _ in range(count):
        document = bytearray(sound[dice.randrange(len(sound))])
        for _ in range(1 + dice.randrange(2)):
            at = dice.randrange(len(document))
            other = dice.randrange(len(document))
            kind = dice.randrange(5)
            if kind == 0:
                document[at] = ALPHABET[dice.randrange(len(ALPHABET))]
            elif kind == 1:
                del document[at]
            elif kind == 2:
                document.insert(at, document[at])
            elif kind == 3:
                document.insert(at, ALPHABET[dice.randrange(len(ALPHABET))])
            else:
                document[at], document[other] = document[other], document[at]
        yield bytes(document)


def corpus():
    documents = list(DOCUMENTS)
    for place in PLACES:
        documents += [place.replace(b"%s", value) for value in VALUES]
    documents += mutants(300)
    return list(dict.fromkeys(documents))


# ---- the header ----

ESCAPES = {ord("\\"): "\\\\", ord('"'): '\\"', ord("?"): "\\?"}


def c_literal(data):
    """One or more C string literals, on lines of at most 79 columns."""
    lines, line = [], ""
    for byte in data:
        if byte in ESCAPES:
            unit = ESCAPES[byte]
        elif 32 <= byte < 127:
            unit = chr(byte)
        else:
            unit = "\\%03o" % byte
        if len(line) + len(unit) > 58:
            lines.append(line)
            line = ""
        line += unit
    lines.append(line)
    return "\n        ".join('"%s"' % line for line in lines)


HEAD = """\
/*
What the filter of == json must make of a document: of each, its size, its
bytes, and what is kept; NULL: it is refused. Written by
tests/gen_json_corpus.py: do not edit.
*/
/* clang-format off */
static const struct corpus_case {
    size_t size;
    const char *document;
    const char *kept;
} json_corpus[] = {
"""

TAIL = """\
};
/* clang-format on */
"""


def write(output):
    output.write(HEAD)
    for document in corpus():
        result = kept(document)
        output.write("    { %d, %s,%s },\n" % (
            len(document), c_literal(document),
            " NULL" if result is None else "\n        " + c_literal(result)))
    output.write(TAIL)


def main(arguments):
    here = os.path.dirname(os.path.abspath(__file__))
    path = arguments[0] if arguments else os.path.join(
        here, "unit", "json_corpus.h")
    with open(path, "w", encoding="ascii", newline="\n") as output:
        write(output)


if __name__ == "__main__":
    main(sys.argv[1:])
