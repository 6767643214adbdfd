"""RDS calls that moto lacks: further endpoints of an RDS proxy, and their tags."""

from html import escape

from request import query_answer, query_error

OPERATIONS = ("Create", "Describe", "Modify", "Delete")


class RdsFiller:
    name = "fill_rds"

    def __init__(self, account):
        self.account = account
        self.endpoints = {}  # (region, name) -> fields, an ordered mapping
        self.tags = {}  # ARN -> {key: value}

    def answer(self, request):
        if request.service != "rds":
            return None
        form = request.form
        action = form.get("Action", "")
        if ":db-proxy-endpoint:" in form.get("ResourceName", ""):
            return self.answer_tags(action, form)
        for operation in OPERATIONS:
            if action in (f"{operation}DBProxyEndpoint", f"{operation}DBProxyEndpoints"):
                return getattr(self, operation.lower())(action, form, request.region)
        return None

    def correct(self, _request, body):
        return body

    def create(self, action, form, region):
        name = form["DBProxyEndpointName"]
        arn = f"arn:aws:rds:{region}:{self.account}:db-proxy-endpoint:{name}"
        fields = {
            "DBProxyEndpointName": name,
            "DBProxyEndpointArn": arn,
            "DBProxyName": form["DBProxyName"],
            "Status": "available",
            "VpcId": "vpc-emulator",
            "Endpoint": f"{name}.endpoint.{region}.invalid",
            "TargetRole": form.get("TargetRole", "READ_WRITE"),
            "IsDefault": "false",
            "VpcSubnetIds": members(form, "VpcSubnetIds."),
            "VpcSecurityGroupIds": members(form, "VpcSecurityGroupIds."),
        }
        self.endpoints[region, name] = fields
        keys = sorted(key for key in form if key.startswith("Tags.") and key.endswith(".Key"))
        self.tags[arn] = {form[key]: form.get(key[: -len("Key")] + "Value", "") for key in keys}
        return query_answer(action, element("DBProxyEndpoint", fields))

    def describe(self, action, form, region):
        wanted = form.get("DBProxyEndpointName")
        proxy = form.get("DBProxyName")
        found = [
            fields
            for (where, name), fields in self.endpoints.items()
            if where == region and wanted in (None, name) and proxy in (None, fields["DBProxyName"])
        ]
        if wanted and not found:
            return self.missing(wanted)
        inner = "".join(element("member", fields) for fields in found)
        return query_answer(action, f"<DBProxyEndpoints>{inner}</DBProxyEndpoints>")

    def modify(self, action, form, region):
        fields = self.endpoints.get((region, form["DBProxyEndpointName"]))
        if not fields:
            return self.missing(form["DBProxyEndpointName"])
        groups = members(form, "VpcSecurityGroupIds.")
        if groups:
            fields["VpcSecurityGroupIds"] = groups
        return query_answer(action, element("DBProxyEndpoint", fields))

    def delete(self, action, form, region):
        fields = self.endpoints.pop((region, form["DBProxyEndpointName"]), None)
        if not fields:
            return self.missing(form["DBProxyEndpointName"])
        return query_answer(action, element("DBProxyEndpoint", fields | {"Status": "deleting"}))

    def answer_tags(self, action, form):
        tags = self.tags.setdefault(form["ResourceName"], {})
        if action == "AddTagsToResource":
            for key in [k for k in form if k.startswith("Tags.") and k.endswith(".Key")]:
                tags[form[key]] = form.get(key[: -len("Key")] + "Value", "")
        elif action == "RemoveTagsFromResource":
            for key in [k for k in form if k.startswith("TagKeys.")]:
                tags.pop(form[key], None)
        inner = "".join(element("Tag", {"Key": k, "Value": v}) for k, v in tags.items())
        return query_answer(action, f"<TagList>{inner}</TagList>")

    @staticmethod
    def missing(name):
        return query_error("DBProxyEndpointNotFoundFault", f"{name} is not there")


def members(form, prefix):
    return [form[key] for key in sorted(form) if key.startswith(prefix)]


def element(name, fields):
    inner = ""
    for field, value in fields.items():
        if isinstance(value, list):
            value = "".join(f"<member>{escape(one)}</member>" for one in value)
            inner += f"<{field}>{value}</{field}>"
        else:
            inner += f"<{field}>{escape(value)}</{field}>"
    return f"<{name}>{inner}</{name}>"
