"""Environment and shared files as botocore reads them: dynalock.h must come to the same.

    build/moto/bin/python tests/chain.py [SEED]

Draws environments, config and credentials files; asks a botocore that knows the services section
(tests/setup.sh test installs one beside moto), and build/sources/settings. Region, endpoint, bundle
and keys must be the same, or both must refuse. The last line is `N passed, N failed`.

Where botocore and AWS' other clients differ, dynalock.h goes with those, and nothing is drawn here:
half a pair of keys in the environment, AWS_REGION, keys of one profile in both files, comments
behind a value, a section twice, [profile default] beside [default], a services section or service
with nothing in it, a named profile that is nowhere (dynalock.h has settings then, but no keys). Of
a broken file botocore takes nothing; keys in the environment do without it here.
"""

import os
import pathlib
import random
import subprocess
import sys
import tempfile

import botocore.exceptions
import botocore.loaders
import botocore.session

CASES = 150
SETTINGS = pathlib.Path(__file__).resolve().parent.parent / "build/sources/settings"
DEFAULT = "https://dynamodb.us-east-1.amazonaws.com"
LOADER = botocore.loaders.Loader()
PROFILES = ["default", "dev", "site-7"]
SERVICES = ["local", "lab"]


def maybe(random_source, share=0.5):
    return random_source.random() < share


def draw_profile(r, name, with_keys):
    lines = []
    if with_keys:
        lines += [f"aws_access_key_id = AK{name}", f"aws_secret_access_key=s+/={name}"]
        lines += [f"aws_session_token =  tok{name}=="] if maybe(r) else []
    lines += [f"region = {name}-1"] if maybe(r) else []
    lines += [f"endpoint_url = http://{name}.profile:8000"] if maybe(r, 0.3) else []
    lines += [f"ca_bundle = /bundle/{name}"] if maybe(r, 0.3) else []
    lines += [f"services = {r.choice([*SERVICES, 'absent'])}"] if maybe(r, 0.6) else []
    if maybe(r, 0.2):
        value = r.choice(["true", "True", "false", "1"])
        lines.append(f"ignore_configured_endpoint_urls = {value}")
    if maybe(r, 0.3):
        lines.append("s3 =\n    max_concurrent_requests = 20\n    endpoint_url = http://not.this")
    r.shuffle(lines)
    return lines


def draw_services(r, name):
    lines = []
    for service in r.sample(["dynamodb", "s3", "sts"], r.randrange(1, 4)):
        indent = r.choice([" ", "  ", "\t"])
        below = [f"{indent}endpoint_url = http://{service}.{name}:1"] if maybe(r, 0.8) else []
        below += [f"{indent}other = 1"] if maybe(r, 0.3) or not below else []
        comment = r.choice(["# endpoint_url = http://commented", "; only words"])
        below += [f"{indent}{comment}"] if maybe(r, 0.3) else []
        below += [f"{indent}half a line"] if maybe(r, 0.03) else []
        r.shuffle(below)
        lines.append("\n".join([f"{service} =", *below]))
    return lines


def join(r, sections):
    r.shuffle(sections)
    end = r.choice(["\n", "\r\n"])
    blank = "" if maybe(r) else "\n# a comment\n\n"
    text = "\n".join("\n".join([f"[{head}]", *lines, blank]) for head, lines in sections)
    return text.replace("\n", end)


def draw_files(r):
    """Returns the config file's text and the credentials file's; None: there is none."""
    config, credentials = [], []
    for name in PROFILES:
        where = r.choice(["config", "credentials", "nowhere"])
        head = name if name == "default" else f"profile {name}"
        if maybe(r, 0.8):
            config.append((head, draw_profile(r, name, where == "config")))
        if maybe(r, 0.6):
            credentials.append((name, draw_profile(r, name, where == "credentials")))
    config += [(f"services {name}", draw_services(r, name)) for name in SERVICES if maybe(r, 0.8)]
    return [join(r, file) if maybe(r, 0.9) else None for file in (config, credentials)]


def draw_environment(r, files):
    known = [name for name in PROFILES if any(f"{name}]" in text for text in files if text)]
    values = {
        "AWS_PROFILE": r.choice([*known, ""]),
        "AWS_DEFAULT_REGION": "env-1",
        "AWS_ENDPOINT_URL": "http://environment",
        "AWS_ENDPOINT_URL_DYNAMODB": "http://environment.dynamodb",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": r.choice(["true", "TRUE", "false", "yes"]),
        "AWS_CA_BUNDLE": "/bundle/environment",
    }
    chosen = {name: value for name, value in values.items() if value and maybe(r, 0.2)}
    if maybe(r, 0.2):
        chosen |= {"AWS_ACCESS_KEY_ID": "AKENV", "AWS_SECRET_ACCESS_KEY": "hush"}
        chosen |= {"AWS_SESSION_TOKEN": "envtok"} if maybe(r) else {}
    return chosen


# ---- the two readers ----


def ask_botocore(environment):
    """Returns name -> value; "unread" or "none" for what it refuses."""
    os.environ.clear()
    os.environ.update(environment)
    found = {}
    session = botocore.session.Session()
    session.register_component("data_loader", LOADER)
    try:
        found["region"] = session.get_config_variable("region")
        found["bundle"] = session.get_config_variable("ca_bundle")
        client = session.create_client("dynamodb", region_name="us-east-1", verify=False)
        endpoint = client.meta.endpoint_url
        found["endpoint"] = None if endpoint == DEFAULT else endpoint
    except botocore.exceptions.BotoCoreError as error:
        found = {"unread": str(error)}
    try:
        keys = session.get_credentials()
    except botocore.exceptions.BotoCoreError as error:
        return found | {"none": str(error)}
    if keys is None:
        return found | {"none": "no keys"}
    return found | {"id": keys.access_key, "secret": keys.secret_key, "token": keys.token}


def ask_dynalock(environment):
    output = subprocess.check_output([SETTINGS], env=environment, text=True)
    return dict(line.split(" ", 1) for line in output.splitlines())


def same(theirs, ours):
    theirs = {name: value for name, value in theirs.items() if value is not None}
    if "parse" in theirs.get("unread", ""):
        return "unread" in ours
    if theirs.keys() != ours.keys():
        return False
    return all(theirs[name] == ours[name] for name in theirs if name not in ("unread", "none"))


def judge(seed, home):
    r = random.Random(seed)
    files = dict(zip(("config", "credentials"), draw_files(r)))
    environment = {"HOME": home, "AWS_EC2_METADATA_DISABLED": "true"}
    environment |= draw_environment(r, files.values())
    folder = pathlib.Path(home) / ".aws"
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).unlink(missing_ok=True)
        if text is not None:
            (folder / name).write_bytes(text.encode())
    theirs, ours = ask_botocore(environment), ask_dynalock(environment)
    if same(theirs, ours):
        return True
    print(f"seed {seed}: botocore {theirs}\n    dynalock {ours}\n    {environment}")
    for name, text in files.items():
        print(f"---- {name}\n{text}")
    return False


def main():
    first = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    with tempfile.TemporaryDirectory() as home:
        passed = sum(judge(first + i, home) for i in range(CASES))
    print(f"{passed} passed, {CASES - passed} failed")
    return 0 if passed == CASES else 1


if __name__ == "__main__":
    sys.exit(main())
