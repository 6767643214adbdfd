"""The documents in adr/ agree with the code: what they name exists and is as they say."""

import re
import shlex
import subprocess
from functools import cache

import pytest

from harness.machine import ROOT
from harness.service import run_command

pytestmark = pytest.mark.delivery

ADR = ROOT / "adr"
CHART = ROOT / "deploy" / "helm" / "payment-latency-api"
ROOMS = "core pool http build deploy infra adr test".split()
CODE_SUFFIXES = {
    ".c",
    ".h",
    ".sql",
    ".py",
    ".sh",
    ".tf",
    ".yaml",
    ".yml",
    ".tpl",
    ".json",
    ".toml",
    "",
}
DOCUMENTS = sorted(path.name for path in ADR.glob("*.md"))
BLOCK = re.compile(r"^```(\w*)$(.*?)^```$", re.M | re.S)


@cache
def text_of(name):
    return (ADR / name).read_text(encoding="utf-8")


def without_drawings(name):
    return BLOCK.sub(lambda block: block[0] if block[1] in ("sh", "sql") else "", text_of(name))


def prose(name):
    """A document without drawings; the way to a newer provider names what is not here yet."""
    text = without_drawings(name)
    return re.sub(r"^## The way to 6\.x$.*?(?=^## )", "", text, flags=re.M | re.S)


def quoted(name):
    """What stands in backticks, and the words of the commands."""
    text = prose(name)
    for _, block in BLOCK.findall(text):
        for line in block.splitlines():
            yield from re.findall(r"[^\s'\"]+", line.split("#")[0])
    yield from re.findall(r"`([^`\n]+)`", BLOCK.sub("", text))


@cache
def code():
    """Everything that is not a document, to look names up in."""
    texts = []
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*")):
            if room == "adr" or path.suffix not in CODE_SUFFIXES or not path.is_file():
                continue
            if path.name == "test_documents.py" or ".terraform" in path.parts:
                continue
            texts.append(path.read_text(encoding="utf-8", errors="replace"))
    texts += [(ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CMakeLists.txt")]
    return "\n".join(texts)


def each(items, name="document"):
    return pytest.mark.parametrize(name, items)


# Places


def slug(heading):
    kept = re.sub(r"[^\w\- ]", "", re.sub(r"`|\[|\]\([^)]*\)", "", heading).strip().lower())
    return kept.replace(" ", "-")


def anchors(path):
    return {slug(line) for line in re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.M)}


@each(DOCUMENTS)
def test_links_resolve(document):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_drawings(document)):
        path, _, anchor = target.partition("#")
        file = (ADR / path).resolve() if path else ADR / document
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def test_every_decision_is_in_the_list():
    decisions = [name for name in DOCUMENTS if re.match(r"ADR-(?!01)\d\d-", name)]
    assert [name for name in decisions if f"({name}" not in text_of("ADR-01-DECISIONS.md")] == []
    numbers = [name[4:6] for name in decisions]
    assert len(set(numbers)) == len(numbers) > 8


@each([name for name in DOCUMENTS if name.startswith("ADR-")])
def test_decision_says_what_it_costs(document):
    headings = anchors(ADR / document)
    status = text_of(document).count("\nStatus: ")
    assert status == 1
    if document != "ADR-01-DECISIONS.md":
        assert any(heading.startswith("cost") for heading in headings)
        assert any("undo" in heading or "switch" in heading for heading in headings)


@each(DOCUMENTS)
def test_named_files_exist(document):
    missing = []
    for words in quoted(document):
        for word in words.split():
            word = word.strip("\"'(),;:")
            if not re.match(rf"({'|'.join(ROOMS)})/[\w.*/-]+$", word):
                continue
            if not any(ROOT.glob(word.rstrip("/"))):
                missing.append(word)
    assert missing == []


# Commands


def parts_of_build_test():
    cases = re.search(
        r"^case \$what in$(.*?)^esac$", (ROOT / "build/test").read_text(), re.M | re.S
    )
    return set(re.findall(r"[a-z]+", " ".join(re.findall(r"^ {4}([a-z |]+)\)", cases[1], re.M))))


@cache
def names_of_tests():
    names = []
    for path in sorted((ROOT / "test").rglob("test_*.py")):
        found = re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.M)
        names += [f"{path.stem}::{name}" for name in found]
    return names


def commands_of(name):
    for language, block in BLOCK.findall(text_of(name)):
        if language == "sh":
            yield from (line.split("  #")[0].strip() for line in block.splitlines() if line.strip())
    yield from (
        words.replace("\\|", "|") for words in re.findall(r"`(build/[a-z]+[^`]*)`", prose(name))
    )


def check_command(command):
    words = shlex.split(command.replace("&&", " ; ").replace(". out/run/env", ""))
    for at, word in enumerate(words):
        if not word.startswith("build/") or not (ROOT / word).suffix == "":
            continue
        script = ROOT / word
        assert script.is_file() and script.stat().st_mode & 0o100, f"{word} cannot be run"
        if word == "build/test" and words[at + 1 : at + 2] not in ([], [";"]):
            assert words[at + 1] in parts_of_build_test(), f"build/test has no {words[at + 1]}"
    if "-k" in words:
        for term in re.findall(r"\w+", words[words.index("-k") + 1]):
            found = any(term in name for name in names_of_tests())
            found = found or any((ROOT / "infra").glob(f"**/{term}"))  # a case for each folder
            assert term in ("and", "or", "not") or found, f"no test is called {term}"


@each(DOCUMENTS)
def test_named_commands_can_be_run(document):
    for command in commands_of(document):
        check_command(command)


@each(DOCUMENTS)
def test_named_tests_exist(document):
    functions = {name.split("::")[1] for name in names_of_tests()}
    named = {words for words in quoted(document) if re.fullmatch(r"test_\w+", words)}
    modules = {path.stem for path in (ROOT / "test").rglob("test_*.py")}
    assert named - functions - modules == set()


# Settings, constants and other names


def settings():
    """{name: default} as the binary tells them."""
    lines = run_command("--help").stdout.splitlines()
    head = next(line for line in lines if line.startswith("NAME "))
    first, second = head.index("DEFAULT"), head.index("RANGE")
    return {
        line.split()[0]: line[first:second].strip()
        for line in lines[lines.index(head) + 1 :]
        if re.match(r"[A-Z]", line)
    }


def test_defaults_of_settings_are_those_of_the_binary():
    defaults = settings()
    named = {}
    for document in DOCUMENTS:
        for name, value in re.findall(r"`([A-Z][A-Z0-9_]+)` \((\d+)\)", prose(document)):
            named.setdefault(name, set()).add(value)
    assert named == {name: {defaults.get(name)} for name in named}
    assert len(named) > 5


@each(DOCUMENTS)
def test_constants_are_those_of_the_code(document):
    stated = [words for words in quoted(document) if re.fullmatch(r"[A-Z][A-Z0-9_]+ = \d+", words)]
    assert [words for words in stated if not re.search(rf"\b{words}\b", code())] == []


@each(DOCUMENTS)
def test_names_are_those_of_the_code(document):
    """Any name with an underscore: a setting, metric, column, function, label, variable."""
    unknown = set()
    for words in quoted(document):
        for word in re.findall(
            r"(?<![\w./-])([A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)+)(?![\w/-])", words
        ):
            if word.removesuffix("_FILE") not in code():
                unknown.add(word)
    unknown -= {path.stem for path in (ROOT / "test").rglob("test_*.py")}
    # Of the kernel, PostgreSQL, AWS, curl and an example; not ours.
    unknown -= {"SO_REUSEPORT"}
    allowed = {
        "pg_stat_activity",
        "wait_event_type",
        "max_connections",
        "pay_service_b",
        "time_connect",
    }
    allowed |= {
        "time_appconnect",
        "time_total",
        "ignore_startup_parameters",
        "pg_dump",
        "pg_restore",
    }
    assert unknown - allowed == set()


@each(DOCUMENTS)
def test_numbers_beside_problems_are_those_of_the_code(document):
    source = (ROOT / "http/api/problem.c").read_text()
    kinds = {found[0]: found[1] for found in re.findall(r'\{"([a-z-]+)",\s*(\d{3})', source)}
    named = re.findall(r"\b(4\d\d|5\d\d) `([a-z]+(?:-[a-z]+)*)`", prose(document))
    assert [(status, name) for status, name in named if kinds.get(name) != status] == []


def test_every_status_of_the_code_is_in_the_decision():
    statuses = set(re.findall(r'\{"[a-z-]+",\s*(\d{3})', (ROOT / "http/api/problem.c").read_text()))
    text = text_of("ADR-10-RESPONSE-STATUS.md")
    assert {status for status in statuses if status not in text} == set()


NUMBER = re.compile(r"\b\d[\d.]* (?:us|B)\b")


@cache
def measured():
    """Small times and sizes in the README's table: 51 us, 136 B."""
    readme = (ROOT / "README.md").read_text()
    table = re.search(r"^## How it compares$(.*?)^## ", readme, re.M | re.S)[1]
    rows = [row.split("|")[1:-1] for row in re.findall(r"^\|(.*)\|$", table, re.M)]
    return set(NUMBER.findall(" ".join(cell for row in rows for cell in row)))


@each(DOCUMENTS)
def test_measured_numbers_stand_in_the_readme_only(document):
    assert len(measured()) > 8
    assert set(NUMBER.findall(text_of(document))) & measured() == set()


def test_pages_that_promise_to_be_one_are():
    assert len(text_of("ADR-02-LATENCY-STRATEGY.md").splitlines()) <= 60
    assert len(text_of("WHERE-DO-I-PUT-IT.md").splitlines()) <= 60


def test_the_budget_adds_up():
    rows = re.findall(
        r"^\| [^|]+ \| ([\d.]+)(?: ms)? [^|]*\| (?:assumed|measured|enforced) ",
        text_of("ADR-02-LATENCY-STRATEGY.md"),
        re.M,
    )
    (total,) = re.findall(
        r"^\| \*\*sum\*\* \| \*\*(\d+) ms\*\*", text_of("ADR-02-LATENCY-STRATEGY.md"), re.M
    )
    assert len(rows) == 9
    assert round(sum(map(float, rows))) == int(total) <= 100


# Regions and versions

REGION = re.compile(r"\b[a-z]{2}-(?:north|south|east|west|central)(?:east|west)?-\d\b")


def variable(path, name, key="default"):
    block = re.search(rf'^variable "{name}" {{$(.*?)^}}$', (ROOT / path).read_text(), re.M | re.S)[
        1
    ]
    return re.search(rf'^  {key} += "?([^"\n]*)"?$', block, re.M)[1]


@each(DOCUMENTS)
def test_regions_are_the_three_of_this_project(document):
    for line in text_of(document).splitlines():
        regions = set(REGION.findall(line))
        assert regions <= {"eu-south-2", "us-east-1", "mx-central-1", "eu-south-1"}, line
        if "eu-south-1" in regions:
            assert re.search("Milan|refuse", line), f"named without its reason: {line}"


def test_region_defaults_are_those_of_terraform_and_the_chart():
    assert variable("infra/environments/spain/variables.tf", "aws_region") == "eu-south-2"
    assert variable("infra/environments/mexico/variables.tf", "aws_region") == "us-east-1"
    mexico = (ROOT / "infra/environments/mexico/variables.tf").read_text()
    assert 'contains(["us-east-1", "mx-central-1"], var.aws_region)' in mexico
    assert re.search(r"^region: us-east-1$", (CHART / "values-mexico.yaml").read_text(), re.M)
    assert re.search(r"^region: eu-south-2$", (CHART / "values-spain.yaml").read_text(), re.M)


def test_module_versions_are_those_of_terraform():
    pinned = {}
    for path in (ROOT / "infra").rglob("*.tf"):
        if ".terraform" in path.parts:
            continue
        calls = re.findall(
            r'source\s*= "(terraform-aws-modules/[\w-]+/aws)[^"]*"\s*version\s*= "([^"]+)"',
            path.read_text(),
        )
        for source, version in calls:
            pinned.setdefault(source, set()).add(version)
    stated = re.findall(
        r"^\| `(terraform-aws-modules/[\w-]+/aws)` \| ([\d.]+) \|",
        text_of("ADR-05-AWS-PROVIDER.md"),
        re.M,
    )
    assert pinned == {source: {version} for source, version in stated}


def test_provider_version_is_the_locked_one():
    constraints, locked = set(), set()
    for path in (ROOT / "infra").rglob("*.tf"):
        constraints |= set(re.findall(r'"hashicorp/aws"\s*version\s*= "([^"]+)"', path.read_text()))
    for path in (ROOT / "infra").rglob(".terraform.lock.hcl"):
        locked |= set(re.findall(r'hashicorp/aws" {\s*version\s*= "([^"]+)"', path.read_text()))
    assert constraints <= {"~> 5.100", "5.100.0"} and locked <= {"5.100.0"}
    assert "exactly 5.100.0" in text_of("ADR-05-AWS-PROVIDER.md") and constraints


@pytest.mark.parametrize(
    "pattern, path, name",
    [
        (
            r"PostgreSQL (\d+) Multi-AZ|RDS PostgreSQL (\d+)",
            "infra/modules/rds/variables.tf",
            "engine_version",
        ),
        (r"backups: (\d+) days", "infra/modules/rds/variables.tf", "backup_retention_days"),
        (r"`(db\.[a-z]\d\w*\.\w+)`", "infra/modules/rds/variables.tf", "instance_class"),
    ],
)
def test_sizes_are_those_of_terraform(pattern, path, name):
    stated = set()
    for document in DOCUMENTS:
        for found in re.findall(pattern, text_of(document)):
            stated |= {value for value in ((found,) if isinstance(found, str) else found) if value}
    assert stated == {variable(path, name)}


# The chart


@cache
def chart_values():
    """{dotted path: scalar} of values.yaml, by its indentation."""
    found, path = {}, []
    for line in (CHART / "values.yaml").read_text().splitlines():
        match = re.match(r"^( *)([\w.-]+):(?: (.*))?$", line)
        if match:
            path[len(match[1]) // 2 :] = [match[2]]
            found[".".join(path)] = (match[3] or "").strip().strip('"')
    return found


@each(DOCUMENTS)
def test_chart_values_exist(document):
    tops = {path.split(".")[0] for path in chart_values()}
    named = {
        word.partition("=")[0]
        for words in quoted(document)
        for word in re.findall(r"(?<![\w./-])[a-zA-Z]+(?:\.[a-zA-Z]+)+(?:=\w+)?(?![\w./-])", words)
    }
    assert {name for name in named if name.split(".")[0] in tops} - set(chart_values()) == set()


def test_the_fleet_fits_the_database():
    values = chart_values()
    stated = re.search(
        r"\((\d+) \+ (\d+) \+ 1\) x \((\d+) \+ 1\) = (\d+) of (\d+)", text_of("ADR-07-POOL-IN-PROCESS.md")
    )
    pods, surge, size, total, limit = map(int, stated.groups())
    assert values["autoscaling.maxReplicas"] == str(pods) and values["rollout.maxSurge"] == str(
        surge
    )
    assert values["settings.POOL_SIZE"] == str(size) and values["database.connectionLimit"] == str(
        limit
    )
    assert (pods + surge + 1) * (size + 1) == total <= limit


def alerts_of_the_chart():
    """{alert: severity}; the burn alerts are made in a loop."""
    source = (CHART / "templates/prometheusrule.yaml").read_text()
    burns = re.findall(r'"severity" "(\w+)" "speed" "(\w+)"', source)
    found = {}
    for name, rest in re.findall(
        r"- alert: (\w+)((?:\{\{.*?\}\})?\n.*?)(?=- alert: |\Z)", source, re.S
    ):
        if rest.startswith("{{"):
            found.update({name + speed: severity for severity, speed in burns})
        else:
            found[name] = re.search(r"severity: (\w+)", rest)[1]
    return found


def test_runbook_has_every_alert_and_no_other():
    table = re.findall(r"^\| `(\w+)` \| (\w+) \|", text_of("RUNBOOK.md"), re.M)
    assert dict(table) == alerts_of_the_chart()
    assert len(table) == len(dict(table)) > 10


def test_runbook_links_of_the_chart_resolve():
    source = (CHART / "templates/prometheusrule.yaml").read_text()
    named = set(re.findall(r'"payment\.runbook" \(list \$ "([a-z-]+)"\)', source))
    assert named and named - anchors(ADR / "RUNBOOK.md") == set()


# The checklist


def checklist():
    rows = re.findall(r"^\| (\d+) \|(.*)\|$", text_of("SECURITY-CHECKLIST.md"), re.M)
    return [
        (int(number), [cell.strip() for cell in re.split(r"(?<!\\)\|", rest)])
        for number, rest in rows
    ]


def test_checklist_lines_are_whole():
    lines = checklist()
    assert [number for number, _ in lines] == list(range(1, len(lines) + 1))
    for number, cells in lines:
        assert len(cells) == 4, f"line {number}"
        claim, where, command, result = cells
        assert claim and result and "@" not in result, f"line {number}"
        assert not re.search(r"\blines? \d|`\d+:", result), f"line {number} counts on line numbers"
        assert re.findall(r"`([^`]+)`", where), f"line {number} names no file"
        assert re.fullmatch(r"`[^`]+`", command), f"line {number} names no command"
        check_command(command.strip("`").replace("\\|", "|"))


def greps():
    return [
        pytest.param(cells[2].strip("`").replace("\\|", "|"), cells[3], id=str(number))
        for number, cells in checklist()
        if cells[2].startswith("`grep ")
    ]


@pytest.mark.parametrize("command, result", greps())
def test_checklist_greps_find_what_they_say(command, result):
    done = subprocess.run(
        shlex.split(command), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == (1 if "exit 1" in result else 0), done.stderr
    assert [words for words in re.findall(r"`([^`]+)`", result) if words not in done.stdout] == []
