"""One root of infra/ in its scratch copy: pointed at the emulator, applied, destroyed."""

import json
import re
import tomllib
from pathlib import Path

from drift import sort_out
from modules import Seeder
from terraform import Failed, Terraform, registry_host, stand_ins

VALUES = Path(__file__).resolve().parent / "values.toml"
# Every service the roots may call; AWS_ENDPOINT_URL catches one that is not here.
SERVICES = (
    "accessanalyzer acm autoscaling backup cloudtrail cloudwatch cloudwatchlogs ec2 ecr eks elbv2"
    " events guardduty iam kms organizations rds s3 s3control secretsmanager sns sqs ssm sts"
).split()
PROVIDER_BLOCK = re.compile(r'^provider "aws" \{\n(.*?)^\}', re.M | re.S)
ALIAS = re.compile(r'^  alias\s*=\s*"([^"]+)"', re.M)
VARIABLE = re.compile(r'^variable "([^"]+)"', re.M)


class Stage:
    """A root, and what is counted of it."""

    def __init__(self, name, root, logs, emulator, region):
        self.name, self.root, self.logs = name, Path(root), Path(logs)
        self.emulator = emulator
        self.logs.mkdir(parents=True)
        environment = emulator.environment | {"AWS_REGION": region}
        self.terraform = Terraform(self.root, self.logs, environment)
        self.added = self.changed = self.destroyed = 0
        self.known, self.providers, self.taken = [], [], []

    def sources(self):
        return [file.read_text() for file in sorted(self.root.glob("*.tf"))]

    def prepare(self, values, store, kind, backend=()):
        """Values, endpoints, module folders, init. `backend`: words for `init -backend-config=`."""
        declared = {name for text in self.sources() for name in VARIABLE.findall(text)}
        own = {name: value for name, value in values.items() if name in declared}
        (self.root / "emulator.auto.tfvars.json").write_text(json.dumps(own, indent=1))
        (self.root / "provider_override.tf").write_text(self.override())
        host = registry_host(self.root, self.terraform.mirrors)
        self.taken = Seeder(self.root, store, host).seed()
        mirrors = [stand_ins(host)] if kind == "real" and self.terraform.mirrors else []
        words = [f"-backend-config={word}" for word in backend]
        if backend:
            words.append(f"-backend-config={self.write_backend()}")
        self.providers = self.terraform.init(mirrors, words)

    def override(self):
        """Terraform merges *_override.tf files into the blocks of the same name."""
        text = "# Written by test/infra/apply.py.\n"
        for body in [b for source in self.sources() for b in PROVIDER_BLOCK.findall(source)]:
            alias = ALIAS.search(body)
            text += 'provider "aws" {\n'
            text += f'  alias = "{alias[1]}"\n' if alias else ""
            text += "  s3_use_path_style = true\n  skip_metadata_api_check = true\n  endpoints {\n"
            text += "".join(f'    {service} = "{self.emulator.url}"\n' for service in SERVICES)
            text += "  }\n}\n"
        return text

    def write_backend(self):
        """The emulator's part of the S3 backend; bucket, key and KMS key are those of infra/."""
        url = self.emulator.url
        file = self.logs / "emulator.s3.tfbackend"
        file.write_text(
            "use_path_style = true\nskip_metadata_api_check = true\n"
            f'endpoints = {{ s3 = "{url}", sts = "{url}", iam = "{url}" }}\n'
        )
        return file

    def apply(self):
        plan = self.terraform.plan("plan")
        planned = [change for change in plan["resource_changes"] if change["mode"] == "managed"]
        self.terraform.run("apply", "apply", "-json", str(self.logs / "plan.tfplan"))
        done = self.terraform.summary("apply")
        self.added, self.changed = done["add"], done["change"]
        if not planned or done["add"] != len(planned):
            raise Failed(f"{self.name}: {len(planned)} were planned and {done['add']} added")

    def plan_again(self):
        unknown, self.known = sort_out(self.terraform.plan("again"))
        if unknown:
            told = [f"    {c['address']}: {c['actions']} {c['attributes']}" for c in unknown]
            raise Failed(
                f"{self.name}: the second plan is not empty, and the emulator is not known to be"
                " the reason (known_gaps.toml):\n" + "\n".join(told)
            )

    def destroy(self):
        self.terraform.run("destroy", "destroy", "-json", "-auto-approve")
        self.destroyed = self.terraform.summary("destroy")["remove"]
        left = self.terraform.state().get("values", {}).get("root_module", {})
        if self.destroyed != self.added or left:
            raise Failed(
                f"{self.name}: {self.added} added, {self.destroyed} destroyed; left: {left}"
            )

    def seconds(self, step):
        return self.terraform.seconds.get(step, 0)


def values_of(environment):
    table = tomllib.loads(VALUES.read_text())
    return table["all"] | table[environment]
