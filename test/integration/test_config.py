"""Settings: wrong ones are explained and nothing starts; right ones come from names or files."""

import pytest

from harness.machine import ROOT
from harness.service import API_KEY, REGION, run_command

PASSWORD = "hunter-two-and-a-half"
URL = f"postgresql://pay_app:{PASSWORD}@127.0.0.1:1/pay"
GOOD = {"DATABASE_URL": URL, "API_SECRET_KEY": API_KEY, "REGION": REGION, "ENVIRONMENT": "dev"}
VERIFIED = URL + "?sslmode=verify-full&sslrootcert=/etc/ssl/certs/ca-certificates.crt"
PRODUCTION = {**GOOD, "ENVIRONMENT": "production", "DATABASE_URL": VERIFIED}
CONFIG_ERROR = 78


def check(settings):
    return run_command("check", settings=settings)


def test_empty_environment_explains_itself_and_exits_78():
    done = run_command(settings={})

    lines = done.stderr.splitlines()
    assert done.returncode == CONFIG_ERROR
    assert [
        sum(name + ":" in line for line in lines) for name in ("DATABASE_URL", "API_SECRET_KEY")
    ] == [1, 1]
    assert done.stdout == ""


@pytest.mark.parametrize(
    "changes, name",
    [
        ({"PORT": "70000"}, "PORT"),
        ({"PORT": "-1"}, "PORT"),
        ({"PORT": "80a"}, "PORT"),
        ({"PORT": "8 0"}, "PORT"),
        ({"OPS_PORT": "70000"}, "OPS_PORT"),
        ({"OPS_PORT": "8080", "METRICS_ON_API_PORT": "0"}, "METRICS_ON_API_PORT"),
        ({"DATABASE_URL": None}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgresql://[::"}, "DATABASE_URL"),
        ({"DATABASE_URL": f"nonsense {PASSWORD}"}, "DATABASE_URL"),
        ({"DATABASE_URL": f"postgresql://a:{PASSWORD}@h:notaport/pay"}, "DATABASE_URL"),
        ({"DATABASE_URL": f"postgresql://a:{PASSWORD}@h:70000/pay"}, "DATABASE_URL"),
        ({"DATABASE_URL": f"postgresql://a:{PASSWORD}@h1,h2/pay"}, "DATABASE_URL"),
        ({"API_SECRET_KEY": None}, "API_SECRET_KEY"),
        ({"API_SECRET_KEY": "two words"}, "API_SECRET_KEY"),
        ({"POOL_SIZE": "0"}, "POOL_SIZE"),
        ({"POOL_SIZE": "65"}, "POOL_SIZE"),
        ({"LANE_BATCH_MAX": "33"}, "LANE_BATCH_MAX"),
        ({"REQUEST_BUDGET_MS": "0"}, "REQUEST_BUDGET_MS"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL"),
        ({"BIND_ADDRESS": "localhost"}, "BIND_ADDRESS"),
        ({"TRUSTED_PROXIES": "10.0.0.0/8,10.0.0.0/33"}, "TRUSTED_PROXIES"),
        ({"AUTH_FAILURES_PER_S": "-1"}, "AUTH_FAILURES_PER_S"),
        ({"DATABASE_TLS_INSECURE": "yes"}, "DATABASE_TLS_INSECURE"),
        ({"DATABASE_URL_FILE": "/dev/null"}, "DATABASE_URL"),
        ({"REGION_FILE": "/dev/null"}, "REGION"),
        ({"API_SECRET_KEY": None, "API_SECRET_KEY_FILE": "/no/such/file"}, "API_SECRET_KEY"),
        ({"LOCK_TIMEOUT_MS": "61"}, "LOCK_TIMEOUT_MS"),
    ],
)
@pytest.mark.parametrize("command", [(), ("check",)], ids=["serve", "check"])
def test_wrong_setting_is_one_line_that_names_it(changes, name, command):
    done = run_command(*command, settings={**GOOD, **changes}, limit=3)

    assert done.returncode == CONFIG_ERROR
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert f" {name}: " in done.stderr
    assert done.stdout == ""


def test_every_wrong_setting_gets_its_line():
    done = run_command(settings={**GOOD, "PORT": "x", "POOL_SIZE": "x", "API_SECRET_KEY": None})

    assert done.returncode == CONFIG_ERROR
    assert len(done.stderr.splitlines()) == 3


@pytest.mark.parametrize(
    "changes, name",
    [
        ({"API_SECRET_KEY": API_KEY[:63]}, "API_SECRET_KEY"),
        ({"API_SECRET_KEY_PREVIOUS": "short"}, "API_SECRET_KEY_PREVIOUS"),
        ({"DATABASE_URL": URL}, "DATABASE_URL"),
        ({"DATABASE_URL": URL + "?sslmode=require"}, "DATABASE_URL"),
    ],
)
def test_production_refuses_what_dev_allows(changes, name):
    refused = check({**PRODUCTION, **changes})
    allowed = check({**PRODUCTION, **changes, "ENVIRONMENT": "dev"})

    assert (refused.returncode, allowed.returncode) == (CONFIG_ERROR, 0)
    assert f" {name}: " in refused.stderr


@pytest.mark.parametrize("unsaid", [None, ""])
@pytest.mark.parametrize(
    "changes, name",
    [({"API_SECRET_KEY": "k"}, "API_SECRET_KEY"), ({"DATABASE_URL": URL}, "DATABASE_URL")],
)
def test_dev_relaxes_nothing_until_it_is_said(changes, name, unsaid):
    refused = run_command(settings={**PRODUCTION, **changes, "ENVIRONMENT": unsaid}, limit=3)
    allowed = check({**PRODUCTION, **changes, "ENVIRONMENT": "dev"})

    assert (refused.returncode, allowed.returncode) == (CONFIG_ERROR, 0)
    assert f" {name}: " in refused.stderr
    assert "ENVIRONMENT: only when dev is said" in refused.stderr


def test_service_that_is_not_told_its_environment_calls_it_dev(start_service):
    """As the Go service did; its key is long and its database is allowed to be plain."""
    service = start_service({"ENVIRONMENT": None, "DATABASE_TLS_INSECURE": "1"})

    assert service.call("GET", "/info", key=None).json()["environment"] == "dev"


def test_production_accepts_verified_tls():
    assert check(PRODUCTION).returncode == 0


def test_production_accepts_plain_database_connections_only_when_told():
    assert check({**PRODUCTION, "DATABASE_URL": URL, "DATABASE_TLS_INSECURE": "1"}).returncode == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"API_SECRET_KEY": PASSWORD + " x"},
        {"DATABASE_URL": f"postgresql://a:{PASSWORD}@h1,h2/pay"},
        {"DATABASE_URL": f"{PASSWORD}=x"},
    ],
)
def test_complaint_never_quotes_a_secret(changes):
    done = check({**GOOD, **changes})

    assert done.returncode == CONFIG_ERROR
    assert PASSWORD not in done.stderr + done.stdout


def test_check_prints_the_effective_settings_with_secrets_masked():
    done = check({**GOOD, "PORT": "9999", "API_SECRET_KEY_PREVIOUS": PASSWORD})

    assert done.returncode == 0
    assert {"PORT=9999", "POOL_SIZE=6", "REGION=" + REGION} <= set(done.stdout.splitlines())
    assert not any(
        secret in done.stdout for secret in (PASSWORD, API_KEY, API_KEY[:8], "postgresql:")
    )


@pytest.mark.parametrize("ending", ["", "\n"])
def test_setting_can_come_from_a_file(tmp_path, ending):
    path = tmp_path / "region"
    path.write_text(REGION + ending)

    done = check({**GOOD, "REGION": None, "REGION_FILE": path})

    assert f"REGION={REGION}" in done.stdout.splitlines()


def test_missing_region_and_environment_are_warned_about():
    done = check({**PRODUCTION, "REGION": None, "ENVIRONMENT": None})

    assert done.returncode == 0
    assert {"REGION=unknown", "ENVIRONMENT=dev"} <= set(done.stdout.splitlines())
    assert "REGION" in done.stderr and "ENVIRONMENT" in done.stderr


def test_help_lists_every_setting():
    names = {line.split("=")[0] for line in check(GOOD).stdout.splitlines()}
    done = run_command("--help")

    assert done.returncode == 0
    assert names - {line.split(" ")[0] for line in done.stdout.splitlines()} == set()
    assert {"DATABASE_URL", "API_SECRET_KEY", "REGION", "ENVIRONMENT", "PORT"} <= names


def rows_of_help():
    lines = run_command("--help").stdout.splitlines()
    head = next(line for line in lines if line.startswith("NAME "))
    columns = [head.index(word) for word in ("NAME", "DEFAULT", "RANGE", "MEANING")]
    for line in lines[lines.index(head) + 1 :]:
        if line[:1].isupper() and line.split(" ")[0].isupper():
            ends = [*columns[1:], len(line)]
            yield tuple(line[begin:end].strip() for begin, end in zip(columns, ends))


def test_readme_table_is_the_help():
    text = (ROOT / "README.md").read_text()
    table = text.split("<!-- settings:")[1].split("<!-- /settings -->")[0]
    rows = [
        tuple(cell.strip().strip("`") for cell in line.strip("|").split("|"))
        for line in table.splitlines()
        if line.startswith("| `")
    ]

    assert rows == list(rows_of_help())


def test_version_names_the_version():
    done = run_command("version")

    assert done.returncode == 0
    assert done.stdout.startswith("payment-latency-api 1.0.0 ")


def test_unknown_subcommand_is_a_usage_error():
    done = run_command("dance", settings=GOOD)

    assert done.returncode == 64
    assert "usage" in done.stderr


def test_healthcheck_tells_whether_the_service_is_alive(service):
    alive = {"OPS_PORT": service.ops_port}, {"OPS_PORT": "0", "PORT": service.port}
    dead = {"OPS_PORT": "1", "PORT": service.port}, {"OPS_PORT": "0", "PORT": "1"}
    wrong = {"OPS_PORT": "70000"}, {"PORT": "x"}

    def status(settings):
        return run_command("healthcheck", settings=settings).returncode

    assert [status(settings) for settings in alive] == [0, 0]
    assert [status(settings) for settings in dead] == [1, 1]
    assert [status(settings) for settings in wrong] == [CONFIG_ERROR, CONFIG_ERROR]


def test_port_in_use_is_explained_and_exits_1(service, database):
    done = run_command(
        settings={
            **GOOD,
            "DATABASE_URL": database.url(),
            "BIND_ADDRESS": "127.0.0.1",
            "PORT": service.port,
        }
    )

    assert done.returncode == 1
    assert "BIND_ADDRESS and PORT" in done.stdout + done.stderr
