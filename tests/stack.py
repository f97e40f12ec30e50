"""The most stack that a program can take on Cortex-M: by GCC's -fstack-usage and the calls in the
objects.

A call through a pointer shows no target. Its source line names the pointer, though, and INDIRECT
says, for each such name, what it can point to. A pointer that is not in INDIRECT is an error, and
so are a target that no object has, a frame of unknown size, and a recursion that is not in NESTED.
"""

import fnmatch
import pathlib
import re
import subprocess

CURVES = ("ec_p256_m31", "ec_prime_i31", "ec_c25519_m31", "ec_all_m31")


def each(objects, *functions):
    """Functions of the same name in several objects."""
    return [f"{name}:{function}" for name in objects for function in functions]


def of_dynalock(*functions):
    return each(["dynalock"], *functions)


def hashes(call):
    sha = {"update": ("224", "384"), "set_state": ("224", "384"), "state": ("224", "384")}
    sizes = sha.get(call, ("256", "384", "512"))  # the others are other names for these
    return [f"sha2{'small' if s < '300' else 'big'}:br_sha{s}_{call}" for s in sizes]


STEPS = {  # of each kind of operation
    "prepare": "lock alarm record tidy watch break list group request table",
    "answer": "lock alarm record tidy watch kept break list group request table fetch",
    "end": "lock alarm record group semaphore request table fetch",
    "body": "lock record tidy watch break list group request table",
    "rank": "lock record fetch",
    "lease": "lock record group",
}


TABLES = of_dynalock(
    *(
        f"dl_{kind}_steps"
        for kind in "lock alarm record tidy watch kept break list group semaphore request table"
        " fetch".split()
    )
)
STREAMS = of_dynalock("dl_plain", "dl_tls")
LAYOUTS = of_dynalock(
    "dl_standard",
    "dl_dynamolock",
    "dl_dynalock_py",
    "dl_dynamo_dlm",
    "dl_chainsaws",
    "dl_dynalock_go",
)
CLAIMS = of_dynalock("dl_watched", "dl_same_owner", "dl_previous", "dl_expired")

# The pointer, as the source calls through it, and its targets. Those that the program linked has
# not are left out by whoever asks.
INDIRECT = {
    # The port's and the application's own: its stack is theirs.
    "platform->*": [],
    "alarm->notify": [],
    "config->refresh": [],
    "watch->changed": [],
    "listing->each": [],
    "request->put_body": [],
    # dynalock.h: one table for the stream, one for each operation, one for each layout. A table is
    # a function, too, and is called in the same line.
    "steps": TABLES,
    "stream": STREAMS,
    "layout": LAYOUTS,
    "lock->claim": CLAIMS,
    "lock->through": CLAIMS,
    **{
        f"stream->{call}": STREAMS + of_dynalock(f"dl_plain_{call}", f"dl_tls_{call}")
        for call in ("open", "write", "flush", "read", "is_stale", "close", "wipe")
    },
    **{
        f"steps->{call}": TABLES + of_dynalock(*(f"dl_{kind}_{call}" for kind in kinds.split()))
        for call, kinds in STEPS.items()
    },
    "start": of_dynalock(
        "dl_start_acquire",
        "dl_start_renew",
        "dl_start_release",
        "dl_start_release_restored",
        "dl_start_read",
        "dl_start_tidy",
        "dl_start_watch",
        "dl_start_break",
        "dl_start_list",
        "dl_start_call",
        "dl_start_table",
        "dl_start_group_acquire",
        "dl_start_group_renew",
        "dl_start_group_release",
        "dl_start_semaphore_acquire",
    ),
    "splitter->each": of_dynalock("dl_list_each"),
    "reader->found": of_dynalock("dl_request_found", "dl_table_found"),
    "is_over": of_dynalock("dl_is_idle", "dl_all_given_back"),
    "tls->profile": of_dynalock("dl_tls_setup_small", "dl_tls_setup_wide"),
    "layout->judge": LAYOUTS + of_dynalock("dl_judge_item", "dl_judge_expiry", "dl_judge_go"),
    "layout->granted": LAYOUTS + of_dynalock("dl_hold", "dl_go_granted"),
    "lock->put_data": of_dynalock("dl_put_base64"),
    "sink->take": of_dynalock(
        "dl_span_take",
        "dl_sha256_take",
        "dl_filter_take",
        "dl_list_take",
        "dl_reader_take",
        "dl_request_take",
    ),
    "fields->put": of_dynalock(
        "dl_signing_put",
        "dl_write_put",
        "dl_read_put",
        "dl_tidy_put",
        "dl_break_put",
        "dl_list_put",
        "dl_fence_put",
        "dl_table_put",
        "dl_say_put",
        "dl_dynamolock_put",
        "dl_expiry_put",
        "dl_go_put",
    ),
    # BearSSL: hashes, by class
    **{
        f"{pointer}->{call}": hashes(call)
        for pointer in ("dig", "hc", "dn_hash_impl", "vtable")
        for call in ("init", "update", "out", "state", "set_state")
    },
    # its engine
    "hsinit": ["ssl_hs_client:br_ssl_hs_client_init_main"],
    "cc->hsrun": ["ssl_hs_client:br_ssl_hs_client_run"],
    "sd": [],  # a seeder of the operating system: this is built without
    "iprf": ["prf_sha256:br_tls12_sha256_prf"],
    "prf": ["prf_sha256:br_tls12_sha256_prf"],
    "vtable->check_length": ["ssl_rec_gcm:gcm_check_length", "ssl_rec_chapol:chapol_check_length"],
    "vtable->decrypt": ["ssl_rec_gcm:gcm_decrypt", "ssl_rec_chapol:chapol_decrypt"],
    "vtable->encrypt": [
        "ssl_rec_gcm:gcm_encrypt",
        "ssl_rec_chapol:chapol_encrypt",
        "ssl_engine:clear_encrypt",
    ],
    "vtable->max_plaintext": [
        "ssl_rec_gcm:gcm_max_plaintext",
        "ssl_rec_chapol:chapol_max_plaintext",
        "ssl_engine:clear_max_plaintext",
    ],
    "icbc_*->init": [],  # no suite of ours
    "iccm_*->init": [],
    "igcm_in->init": ["ssl_rec_gcm:in_gcm_init"],
    "igcm_out->init": ["ssl_rec_gcm:out_gcm_init"],
    "ichapol_in->init": ["ssl_rec_chapol:in_chapol_init"],
    "ichapol_out->init": ["ssl_rec_chapol:out_chapol_init"],
    "client_auth_vtable->*": [],  # no certificate of the client
    # its ciphers
    "bc_impl->init": ["aes_ct_ctr:br_aes_ct_ctr_init"],
    "bc_impl->run": ["aes_ct_ctr:br_aes_ct_ctr_run"],
    "vtable->run": ["aes_ct_ctr:br_aes_ct_ctr_run"],
    "cc->gh": ["ghash_ctmul32:br_ghash_ctmul32"],
    "cc->ipoly": ["poly1305_ctmul:br_poly1305_ctmul_run"],
    "ichacha": ["chacha20_ct:br_chacha20_ct_run"],
    # its public keys
    **{
        f"{pointer}->{call}": each(CURVES, f"api_{call}")
        for pointer in ("iec", "impl")
        for call in ("generator", "order", "xoff", "mul", "mulgen", "muladd")
    },
    **{
        f"br_ec_prime_i31.{call}": each(CURVES[:3], f"api_{call}")
        for call in ("generator", "order", "xoff", "mul", "mulgen", "muladd")
    },
    "ctx->irsapub": ["rsa_i31_pub:br_rsa_i31_public"],
    "ctx->irsa": ["rsa_i31_pkcs1_vrfy:br_rsa_i31_pkcs1_vrfy"],
    "eng.irsavrfy": ["rsa_i31_pkcs1_vrfy:br_rsa_i31_pkcs1_vrfy"],
    "ctx->iecdsa": ["ecdsa_i31_vrfy_asn1:br_ecdsa_i31_vrfy_asn1"],
    "eng.iecdsa": ["ecdsa_i31_vrfy_asn1:br_ecdsa_i31_vrfy_asn1"],
    # its certificates
    **{
        f"xc->{call}": [f"x509_minimal:xm_{call}"]
        for call in ("start_chain", "start_cert", "append", "end_cert", "end_chain", "get_pkey")
    },
}

# In these functions of the source the pointer is one of these only: a lock's.
HERE = {
    ("dl_group_grant", "steps->answer"): TABLES + of_dynalock("dl_lock_answer"),
    ("dl_lapse", "steps->end"): TABLES + of_dynalock("dl_lock_end", "dl_alarm_end"),
    ("dl_semaphore_end", "steps->end"): TABLES + of_dynalock("dl_lock_end", "dl_alarm_end"),
}

# How often a function may be on the stack at once. A template's field may be a template: a claim's
# condition in a request, or the headers in what is signed. A listing's sink puts into a filter's.
NESTED = {"dl_put_template": 2, "dl_put": 2}

# libc's and libgcc's, which take 24 bytes at most (memmove, in newlib-nano: 16) and call nothing.
LIBRARY = {"memcpy", "memmove", "memset", "memcmp", "strlen", "__aeabi_uldivmod"}

CALL = re.compile(r"R_ARM_THM_(?:CALL|JUMP\d+)\s+(\S+)|\tb\S*\t[0-9a-f]+ <([^+>]+)>")
BY_POINTER = re.compile(r"\tblx\tr|\tbx\t(?!lr)|\tmov\tpc, r")
POINTER = re.compile(
    r"\(?\*?(?:\w+(?:->|\.))*?(\w+)\)?(->|\.)(\w+)\(|(?:^|[^\w.>])(?:!|\()*([a-z]\w*)\("
)
IN_TABLE = re.compile(r"(?:\w+(?:->|\.))*(\w+)\(DL_[^()]*\)\s*\.(\w+)\(")
OF_TABLE = re.compile(r"(?:\w+(?:->|\.))*(layout|steps|stream)\(DL_")
FRAME = re.compile(r"^\S+?:\d+:\d+:(\S+)\t(\d+)\t(static|dynamic|dynamic,bounded)$", re.M)
SYMBOL = re.compile(r"^([0-9a-f]+) \S* +F (\S+)\t[0-9a-f]+ (?:\.hidden )?(\S+)$", re.M)
UNKNOWN = "which pointer is called?"
KEYWORDS = {"if", "while", "for", "return", "switch", "sizeof"}


class Unknown(Exception):
    """The stack cannot be computed; says why."""


class Function:
    def __init__(self, frame):
        self.frame = frame
        self.calls = set()  # names
        self.pointers = set()  # pairs: the source's function, which may be inlined, and the name


def pointer_at(path, line, sources):
    """The pointer that a source line calls through, one that INDIRECT knows; or what is not known,
    which matters only if the linker has kept the function."""
    lines = sources.setdefault(path, pathlib.Path(path).read_text().splitlines())
    text = IN_TABLE.sub(r"\1->\2(", " ".join(lines[line - 1 : line + 2]))
    text = OF_TABLE.sub(r"\1(", text)
    for base, link, member, bare in POINTER.findall(text):
        name = bare or f"{base}{link}{member}"
        if bare not in KEYWORDS and targets(name) is not None:
            return name
    return f"{UNKNOWN} {path}:{line}: {lines[line - 1].strip()}"


def targets(name):
    """What a pointer can point to; None: INDIRECT does not know it."""
    if name.startswith(UNKNOWN):
        raise Unknown(name)
    for pattern, targets_of in INDIRECT.items():
        if fnmatch.fnmatchcase(name, pattern):
            return targets_of
    return None


def frames_of(path):
    frames = {}
    for name, size, kind in FRAME.findall(path.with_suffix(".su").read_text()):
        if kind == "dynamic":
            raise Unknown(f"{path}: {name} has no fixed frame")
        frames[name] = int(size)
    return frames


def read_object(path, frames, sources):
    """Yields the name and Function of each that an object has."""
    command = ["arm-none-eabi-objdump", "-tdlr", path]
    text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    symbols = SYMBOL.findall(text)
    section = None
    function, name, place, within = None, None, None, None
    for line in text.splitlines():
        if line.startswith("Disassembly of section "):
            section = line.split()[-1].rstrip(":")
        elif label := re.fullmatch(r"([0-9a-f]+) <(.+)>:", line):
            # functions of the same code are one; a variant of a function has a number behind it
            name = label[2]
            here = {n for address, s, n in symbols if (address, s) == (label[1], section)} | {name}
            known = [frames[n] for n in here | {n.rpartition(".")[0] for n in here} if n in frames]
            function = Function(max(known, default=None))
            yield from ((alias, function) for alias in here)
        elif at := re.match(r"(\S+\.[ch]):(\d+)", line):
            place = at[1], int(at[2])
        elif inlined := re.fullmatch(r"(\w+)\(\):", line):
            within = inlined[1]
        elif call := CALL.search(line):
            if call[2] != name:  # that is a loop
                function.calls.add(call[1] or call[2])
        elif BY_POINTER.search(line):
            function.pointers.add((within, pointer_at(*place, sources)))


class Program:
    """What a linker has kept of some objects, each with GCC's .su beside it."""

    def __init__(self, objects, kept):
        """kept: pairs of an object's name and a function's."""
        self.functions, self.places, self.known = {}, {}, {}
        sources, there = {}, set()
        for path in objects:
            frames = frames_of(path)
            there.update((path.stem, name) for name in frames)
            if not any(stem == path.stem for stem, _ in kept):
                continue
            for name, function in read_object(path, frames, sources):
                self.functions[path.stem, name] = function
                self.places.setdefault(name, path.stem)
        # of functions that are one, the linker has kept the name of one only
        self.live = {id(self.functions[key]) for key in kept if key in self.functions}
        for pointer, names in INDIRECT.items():
            for name in names:
                if tuple(name.split(":")) not in there:
                    raise Unknown(f"{pointer}: no object has {name}")

    def _callees(self, key):
        function = self.functions[key]
        for name in function.calls:
            if (key[0], name) in self.functions:
                yield key[0], name
            elif name in self.places:
                yield self.places[name], name
            elif name not in LIBRARY:
                raise Unknown(f"{key}: calls {name}, which is nowhere")
        for within, pointer in function.pointers:
            for target in HERE.get((within, pointer)) or targets(pointer):
                key_of = tuple(target.split(":"))
                if id(self.functions.get(key_of)) in self.live:
                    yield key_of

    def worst(self, key, nested=()):
        """Bytes, and who takes them, the outermost first. nested: those of NESTED on the stack."""
        name = key[1]
        if name in NESTED:
            if nested.count(name) == NESTED[name]:
                return 0, ()
            nested = tuple(sorted((*nested, name)))
        if (key, nested) not in self.known:
            self.known[key, nested] = None
            frame = self._frame(key)
            callees = [self.worst(callee, nested) for callee in self._callees(key)]
            below = max(callees, default=(0, ()))
            self.known[key, nested] = frame + below[0], ((name, frame), *below[1])
        if self.known[key, nested] is None:
            raise Unknown(f"{name} may call itself (see HERE and NESTED)")
        return self.known[key, nested]

    def _frame(self, key):
        frame = self.functions[key].frame
        if frame is None:
            raise Unknown(f"{key}: no frame")
        return frame
